//! A box's clock: not set after the plug was pulled, or fallen back behind what was seen of the world already.

mod support;

use heartbeat_runtime::auth::Secret;
use heartbeat_runtime::time::Wall;
use support::EdgeBox;
use support::clock::FakeClock;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::wire::Answer;

const HOUR_S: i64 = 3600;

/// A daemon whose clock starts at another time.
fn start_at(edge_box: &EdgeBox, clock: &FakeClock, time: &str) -> Daemon {
    Daemon::start(edge_box, |command| clock.set(command, time))
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

#[test]
fn while_the_clock_is_not_set_a_signed_heartbeat_is_told_to_come_again_and_starts_nothing() {
    let Some(clock) = FakeClock::find() else { return };
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let daemon = start_at(&edge_box, &clock, "@1990-01-01 00:00:00");
    assert!(daemon.log().contains("the clock is not set"), "{}", daemon.log());

    for heartbeat in [Heartbeat::new(), Heartbeat { signed_at_s: 631_152_000, ..Heartbeat::new() }] {
        let answer = daemon.send(&heartbeat);
        assert_eq!(refusal(&answer), (503, "clock_not_set".to_owned()));
        assert!(answer.field("Retry-After").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0));
        assert!(answer.field("Date").is_some_and(|date| date.contains(" 1990 ")), "{}", answer.head);
    }
    let url = format!("http://127.0.0.1:{}/data_flows/heartbeat", daemon.port);
    let (code, said) = edge_box.command(&["beat", "--url", &url]);
    assert!(code == Some(75) && said.contains("help: set that box's clock"), "{said}");
    let (_, other) = Secret::generate(&[1; 32]);
    let forged = daemon.exchange(Heartbeat::new().to_bytes(&other));
    assert_eq!(refusal(&forged), (401, "signature_mismatch".to_owned()), "who has no secret learns nothing");
    assert_eq!(daemon.exchange("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n").status, 200);
    assert_eq!(edge_box.runs().len(), 0);
    assert!(daemon.log().contains("error=clock_not_set"), "{}", daemon.log());
}

/// A box with a secret that ended an hour ago beside its lasting one.
fn box_with_an_ended_secret() -> (EdgeBox, Secret) {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let (text, ended) = Secret::generate(&[1; 32]);
    let until = Wall::from_seconds(now_s() - HOUR_S).rfc3339();
    let lasting = edge_box.read("secret");
    edge_box.write_secret("secret", &format!("{} until={until}\n{}", text.as_str(), lasting.trim()));
    (edge_box, ended)
}

#[test]
fn a_secret_that_ended_stays_ended_when_the_clock_falls_back_to_before_its_end() {
    let Some(clock) = FakeClock::find() else { return };
    let (edge_box, ended) = box_with_an_ended_secret();
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1, "signed after the other's end");
    daemon.stop();

    let daemon = start_at(&edge_box, &clock, "-2h");
    let then = || Heartbeat::new().signed_in(-2 * HOUR_S);
    let answer = daemon.exchange(then().to_bytes(&ended));
    assert_eq!(refusal(&answer), (401, "signature_mismatch".to_owned()));
    assert_eq!(daemon.send(&then()).status, 200, "the lasting one is in force, by the clock that there is");
}

#[test]
fn a_box_that_has_seen_no_later_time_goes_by_its_clock() {
    let Some(clock) = FakeClock::find() else { return };
    let (edge_box, ended) = box_with_an_ended_secret();
    let daemon = start_at(&edge_box, &clock, "-2h");
    let answer = daemon.exchange(Heartbeat::new().signed_in(-2 * HOUR_S).to_bytes(&ended));
    assert_eq!(answer.status, 200, "what shows that the test before looks at the right thing");
}
