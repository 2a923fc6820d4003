use super::bar::line;
use super::size::size;
use crate::image::Step;

#[test]
fn sizes_are_those_of_crictl() {
    let sizes =
        [0, 17, 999, 1000, 1234, 9994, 9996, 723_400, 999_499, 999_500, 4_270_000, 35_900_000, u64::MAX];
    let said: Vec<String> = sizes.iter().map(|bytes| size(*bytes)).collect();
    let expected = [
        "0B", "17B", "999B", "1kB", "1.23kB", "9.99kB", "10kB", "723kB", "999kB", "1MB", "4.27MB", "35.9MB",
        "18.4EB",
    ];
    assert_eq!(said, expected);
}

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
