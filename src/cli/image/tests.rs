use super::bar::line;
use crate::image::Step;

#[test]
fn a_bar_fits_into_a_terminal_whatever_the_name() {
    let step = |done, of| Step { done, of };
    assert_eq!(
        line("redis.tar", step(0, 0)),
        "redis.tar                 [>                       ]   0%  0B of 0B"
    );
    let half = "redis.tar                 [============>           ]  50%  18.4MB of 36.7MB";
    assert_eq!(line("redis.tar", step(35 << 19, 35 << 20)), half);
    let whole = line(&"a-very-long-name".repeat(9), step(u64::MAX >> 7, u64::MAX >> 7));
    assert_eq!(whole, "a-very-long-namea-ver...  [========================] 100%  144PB of 144PB");
    assert!(whole.chars().count() < 80);
}
