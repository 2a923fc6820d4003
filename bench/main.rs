//! Figures, in one run and beside those of other programs, since a shared machine is noisy: what alternates is comparable.
//!
//! Run by `make bench`. Prints one line a figure: median, peer's median, ratio. Promises are `tests/budget.rs`'s matter.

#![allow(missing_docs, reason = "a program without readers of its documentation")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

mod cli;
mod clock;
mod crun;
mod exec;
mod footprint;
mod import;
mod latency;
mod logs;
mod network;
mod probes;
mod pull;
mod table;

#[path = "../tests/kernel/harness/mod.rs"]
mod harness;
#[path = "../tests/origin/mod.rs"]
mod origin;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, bundle, file] = args.as_slice() {
        assert_eq!(role, crun::ROLE);
        return crun::serve(bundle, file);
    }
    // Release programs abort when they panic: nobody else would clear up.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        harness::clear_all();
    }));
    // A number makes everything shorter: for trying the bench itself. A name is one part alone.
    let usage = "usage: bench [RUNS [PART]]";
    let runs: usize = args.first().map_or(31, |runs| runs.parse().expect(usage));
    println!("medians of {runs} alternating runs; ratios are to the peer named");
    let parts: [(&str, &dyn Fn()); 9] = [
        ("latency", &|| latency::measure(runs)),
        ("exec", &|| exec::measure(runs)),
        ("probes", &|| probes::measure(runs)),
        ("footprint", &footprint::measure),
        ("import", &|| import::measure(runs.min(7))),
        ("network", &|| network::measure(runs)),
        ("pull", &|| pull::measure(runs.min(5))),
        ("cli", &|| cli::get_pods(runs)),
        ("logs", &|| logs::logs(runs.min(7))),
    ];
    let wanted = args.get(1);
    assert!(wanted.is_none_or(|wanted| parts.iter().any(|(name, _)| name == wanted)), "{usage}");
    for (name, measure) in parts {
        if wanted.is_none_or(|wanted| wanted == name) {
            measure();
        }
    }
}
