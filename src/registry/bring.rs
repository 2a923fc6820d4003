//! The layers of an image: fetched, some at the same time, and taken in while others are on their way.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};

use super::ask::Session;
use super::layer::{self, Wanted};
use super::plan::Plan;
use super::pull::Order;
use crate::image::{Arriving, Digest, Partial};

/// Layers that are fetched at the same time: containerd's `max_concurrent_downloads`.
const LAYERS_AT_ONCE: usize = 3;
/// Between two looks at whether anybody waits, and at a layer that somebody else has.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Fetches what is missing from the first of `sessions` that has it, beginning with number `first`, and takes it in.
pub fn bring(
    sessions: &[Session<'_>],
    first: usize,
    order: &Order<'_>,
    arriving: &mut Arriving<'_>,
) -> Result<()> {
    let missing = arriving.missing();
    if missing.is_empty() {
        return arriving.take(0, &BTreeMap::new(), &|_| Ok(()));
    }
    order.progress.needs(missing.iter().map(|(_, size)| size).sum());
    let state = State { plan: Plan::new(missing), whole: BTreeMap::new(), wrong: None };
    let work = Work {
        sessions,
        first,
        order,
        chains: arriving.chains().to_vec(),
        before: arriving.chains().len() - missing.len(),
        state: Mutex::new(state),
        changed: Condvar::new(),
        stopped: AtomicBool::new(false),
    };
    let threads = missing.len().min(LAYERS_AT_ONCE);
    thread::scope(|scope| {
        let begin = |_| thread::Builder::new().name("layer".to_owned()).spawn_scoped(scope, || work.fetch());
        // With fewer threads it takes longer.
        let (begun, wrong): (Vec<_>, Vec<_>) = (0..threads).map(begin).partition(io::Result::is_ok);
        let taken = match wrong.into_iter().next() {
            Some(Err(error)) if begun.is_empty() => Err(error).context("start a thread for layers"),
            _ => work.take_in(arriving),
        };
        work.stop();
        taken
    })
}

/// One image on its way.
struct Work<'w, 'c> {
    sessions: &'w [Session<'c>],
    first: usize,
    order: &'w Order<'w>,
    /// Of all layers of the image.
    chains: Vec<Digest>,
    /// So many of them were here at first.
    before: usize,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

struct State {
    plan: Plan,
    whole: BTreeMap<Digest, Partial>,
    /// What went wrong first; what follows from it is no news.
    wrong: Option<Error>,
}

impl Work<'_, '_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        self.changed.wait_timeout(state, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner).0
    }

    fn is_wanted(&self) -> bool {
        !self.stopped.load(Ordering::Acquire) && (self.order.wanted)()
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Takes in what is whole until all of it is here.
    fn take_in(&self, arriving: &mut Arriving<'_>) -> Result<()> {
        let reads = |count| {
            self.order.progress.unpacks(count);
            if self.is_wanted() { Ok(()) } else { Err(io::Error::other("nobody waits for it any more")) }
        };
        while let Some((count, parts)) = self.ready()? {
            arriving.take(count, &parts, &reads)?;
            self.took(count, parts);
        }
        Ok(())
    }

    /// The next layers to take in, once there are some.
    fn ready(&self) -> Result<Option<(usize, BTreeMap<Digest, Partial>)>> {
        let mut state = self.state();
        loop {
            if let Some(wrong) = state.wrong.take() {
                return Err(wrong);
            }
            if state.plan.is_over() {
                return Ok(None);
            }
            if !self.is_wanted() {
                bail!("nobody waits for it any more");
            }
            let count = state.plan.ready();
            if 0 < count {
                let State { plan, whole, .. } = &mut *state;
                let parts = plan.batch(count).filter_map(|digest| whole.remove_entry(digest)).collect();
                return Ok(Some((count, parts)));
            }
            state = self.wait(state);
        }
    }

    fn took(&self, count: usize, mut parts: BTreeMap<Digest, Partial>) {
        let mut state = self.state();
        for digest in state.plan.took(count) {
            if let Some(part) = parts.remove(&digest) {
                self.order.store.discard(part);
            }
        }
        // What comes again is here already.
        state.whole.extend(parts);
        drop(state);
        self.changed.notify_all();
    }

    /// Fetches one layer after the other.
    fn fetch(&self) {
        loop {
            match self.one() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.state().wrong.get_or_insert(error);
                    return self.stop();
                }
            }
        }
    }

    /// Fetches the next layer; whether there was another.
    fn one(&self) -> Result<bool> {
        let Some((digest, size, partial)) = self.begin()? else { return Ok(false) };
        let wanted = || self.is_wanted();
        let asked = Wanted { digest: &digest, size, wanted: &wanted, progress: self.order.progress };
        let partial = layer::fetch(self.sessions, self.first, &asked, partial)?;
        let mut state = self.state();
        state.plan.is_whole(&digest);
        state.whole.insert(digest, partial);
        drop(state);
        self.changed.notify_all();
        Ok(true)
    }

    /// The next layer with its file, once there is room for it and nobody else has it.
    fn begin(&self) -> Result<Option<(Digest, u64, Partial)>> {
        let mut state = self.state();
        loop {
            if state.plan.is_over() || !self.is_wanted() {
                return Ok(None);
            }
            if let Some((digest, size)) = state.plan.next() {
                match self.order.store.partial(&digest)? {
                    Some(partial) if self.is_here(&state.plan, &digest)? => {
                        // What is in it, a pull that waits for another layer let go of, and wants again.
                        if partial.is_empty() {
                            self.order.store.discard(partial);
                        }
                        self.order.progress.came(size);
                        state.plan.is_whole(&digest);
                        self.changed.notify_all();
                        continue;
                    }
                    Some(partial) => {
                        state.plan.begins(&digest);
                        return Ok(Some((digest, size, partial)));
                    }
                    None => {
                        if state.plan.is_elsewhere() {
                            self.changed.notify_all();
                        }
                        for digest in state.plan.lets_go() {
                            state.whole.remove(&digest);
                        }
                    }
                }
            }
            state = self.wait(state);
        }
    }

    /// Whether a layer is in the store at each of its places in the image: another pull brought it, or it is above a damaged one.
    fn is_here(&self, plan: &Plan, digest: &Digest) -> Result<bool> {
        let chains = plan.places(digest).filter_map(|at| self.chains.get(self.before + at));
        self.order.store.has(chains)
    }
}
