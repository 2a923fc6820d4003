//! The keys that leave a container's terminal alone: Ctrl-P Ctrl-Q, as Kubernetes documents it.

const CTRL_P: u8 = 0x10;
const CTRL_Q: u8 = 0x11;

/// Looks for the keys in what is typed.
#[derive(Debug, Default)]
pub struct Keys {
    /// Whether a Ctrl-P was held back, since Ctrl-Q may follow.
    held: bool,
}

impl Keys {
    /// What of `typed` to pass on, and whether the keys were in it; what follows them goes nowhere.
    ///
    /// A Ctrl-P is passed on with the key after it.
    pub fn look(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for key in typed {
            match (std::mem::take(&mut self.held), *key) {
                (true, CTRL_Q) => return (passed, true),
                (held, key) => {
                    if held {
                        passed.push(CTRL_P);
                    }
                    self.held = key == CTRL_P;
                    if !self.held {
                        passed.push(key);
                    }
                }
            }
        }
        (passed, false)
    }
}
