//! Strips of made up histories, as they are drawn and as they are told.

use super::*;
use crate::store::RunId;

const NOW: Wall = Wall::from_seconds(1_795_000_000);

fn run(minutes_ago: i64, status: Status, error_kind: Option<ErrorKind>) -> RunMark {
    let at = Wall::from_millis(NOW.as_millis() - minutes_ago * 60_000);
    RunMark {
        id: RunId(1),
        status,
        attempt: 1,
        scheduled_at: at,
        started_at: Some(at),
        ended_at: Some(at),
        duration_ms: Some(1),
        error_kind,
        misfires: 0,
        clock_unset: false,
    }
}

#[test]
fn runs_stand_where_they_started_and_gaps_stay_gaps() {
    let long_ago = Wall::from_seconds(0);
    let marks = [
        run(0, Status::InProgress, None),
        run(60, Status::Success, None),
        run(61, Status::Failed, Some(ErrorKind::Timeout)),
        run(600, Status::Failed, Some(ErrorKind::Interrupted)),
        run(700, Status::Failed, Some(ErrorKind::Cancelled)),
        run(3000, Status::Success, None),
    ];
    let strip = Strip::of_runs(&marks, long_ago, None, NOW);
    assert_eq!((strip.bins.len(), strip.known_from), (96, 0));
    assert!(strip.bins[95].open);
    assert_eq!(strip.rate(), (1, 2), "neither what was interrupted nor what is too old counts");
    let not_empty = strip.bins.iter().filter(|bin| **bin != Bin::default()).count();
    assert!((3..=4).contains(&not_empty));
    let words: Vec<_> = strip.rows().map(|(_, what)| what).collect();
    assert!(
        words.contains(&"nothing ran".to_owned()) && words.contains(&"1 interrupted".to_owned()),
        "{words:?}"
    );
}

#[test]
fn what_is_not_on_record_is_told_apart_from_what_did_not_run() {
    let since = Wall::from_millis(NOW.as_millis() - 6 * 3_600_000);
    let words = |strip: &Strip| strip.rows().map(|(_, what)| what).collect::<Vec<_>>();
    let young = Strip::of_runs(&[], since, None, NOW);
    assert_eq!((young.known_from, young.rate_of().as_str()), (71, "24h"), "before it there was no flow");
    assert_eq!(words(&young), ["not on record", "nothing ran"]);
    let marks = [run(0, Status::Success, None), run(1000, Status::Failed, Some(ErrorKind::Timeout))];
    let cut = Strip::of_runs(&marks, Wall::from_seconds(0), Some(since), NOW);
    assert_eq!(
        (cut.known_from, cut.rate_of().as_str()),
        (72, "6h"),
        "the part in which it begins is not whole"
    );
    assert_eq!(cut.rate(), (1, 1), "what failed before is only what is left of more");
    let told =
        ["not on record", "1 failed; not all is on record", "not on record", "nothing ran", "1 succeeded"];
    assert_eq!(words(&cut), told);
    let future = Wall::from_millis(NOW.as_millis() + DAY_MS);
    assert_eq!(Strip::of_runs(&[], future, None, NOW).known_from, 95, "the clock was ahead");
}

#[test]
fn what_goes_on_stands_in_all_of_its_time_and_what_tells_no_time_nowhere() {
    let long_ago = Wall::from_seconds(0);
    let open_since = |minutes| {
        let strip = Strip::of_runs(&[run(minutes, Status::InProgress, None)], long_ago, None, NOW);
        strip.bins.iter().filter(|bin| bin.open).count()
    };
    assert_eq!((open_since(0), open_since(60), open_since(3000), open_since(-60)), (1, 5, 96, 0));
    let unset = RunMark { clock_unset: true, ..run(60, Status::Success, None) };
    let ahead = run(-100, Status::Success, None);
    let strip = Strip::of_runs(&[unset, ahead], long_ago, None, NOW);
    assert!(strip.bins.iter().all(|bin| *bin == Bin::default()));
}

#[test]
fn a_day_begins_at_midnight_in_utc() {
    let midnight = 1_795_046_400;
    let of = |day| [FlowDay { day, success: 1, ..FlowDay::default() }];
    for (now_s, bin) in [(midnight - 1, 6), (midnight, 5), (midnight + 86_399, 5), (midnight + 86_400, 4)] {
        let yesterday = midnight / 86_400 - 1;
        let strip =
            Strip::of_days(Span::Week, &of(yesterday), Wall::from_seconds(0), Wall::from_seconds(now_s));
        assert_eq!(strip.bins[bin].success, 1, "{now_s}");
    }
}

#[test]
fn days_stand_on_their_day() {
    let today = NOW.as_seconds().div_euclid(86_400);
    let day = |day: i64, success, failed| FlowDay { day, success, failed, ..FlowDay::default() };
    let days = [day(today - 8, 5, 0), day(today - 6, 3, 0), day(today, 1, 1)];
    let strip = Strip::of_days(Span::Week, &days, Wall::from_seconds(0), NOW);
    assert_eq!((strip.bins[0].success, strip.bins[6].failed, strip.rate()), (3, 1, (4, 5)));
    let mut html = Html::default();
    strip.draw(&mut html);
    assert!(html.as_str().contains("<path class=\"k\" d=\"M0 16h1m5 0h1\"/>"), "{}", html.as_str());
    assert!(html.as_str().contains("<path class=\"g\" d=\"M6 7h1\"/>"), "{}", html.as_str());
}

/// The parts over which the lines of a kind go.
fn drawn(svg: &str, class: &str) -> Vec<usize> {
    let Some(path) = svg.split(&format!("<path class=\"{class}\" d=\"")).nth(1) else {
        return Vec::new();
    };
    let path = path.split('"').next().unwrap();
    let (mut at, mut parts) = (0, Vec::new());
    let mut numbers = path.split(['M', 'm', 'h', 'H', ' ']).filter(|text| !text.is_empty());
    let steps = path.chars().filter(char::is_ascii_alphabetic);
    for step in steps {
        let number: usize = numbers.next().unwrap().parse().unwrap();
        match step {
            'M' | 'm' => {
                at = if step == 'M' { number } else { at + number };
                numbers.next();
            }
            _ => {
                let end = if step == 'H' { number } else { at + number };
                parts.extend(at..end);
                at = end;
            }
        }
    }
    parts
}

#[test]
fn the_table_says_what_the_picture_shows() {
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut drawn_as_told = 0;
    for round in 0..1000 {
        let span = Span::ALL[round % 3];
        let mut strip = Strip::empty(span, Wall::from_seconds(0), NOW);
        strip.known_from = usize::try_from(random(2) * random(strip.bins.len() as u64 + 1)).unwrap();
        let (often, mut bin) = (1 + random(6), Bin::default());
        for each in &mut strip.bins {
            let mut some = |of: u64| if random(often) == 0 { random(of) } else { 0 };
            if some(2) == 0 {
                let (success, failed, interrupted, cancelled) = (some(9), some(4), some(3), some(2));
                bin = Bin { success, failed, interrupted, cancelled, open: some(2) > 0 };
            }
            *each = bin;
        }
        if lines_of(&strip) > LINES_MAX {
            continue;
        }
        drawn_as_told += 1;
        let mut html = Html::default();
        strip.draw(&mut html);
        let shown = |class: &str| drawn(html.as_str(), class);
        let not_known: Vec<_> = (0..strip.known_from).collect();
        assert_eq!(shown("u"), not_known);
        let failed = ["f", "g", "m", "n"].map(shown).concat();
        let rows: Vec<_> = strip.rows().collect();
        let begins = rows
            .iter()
            .map(|(begin, _)| usize::try_from((begin.as_millis() - strip.begin_ms) / span.bin_ms()).unwrap());
        let begins: Vec<_> = begins.chain([strip.bins.len()]).collect();
        assert_eq!(begins[0], 0);
        for ((_, words), range) in rows.iter().zip(begins.windows(2)) {
            let within = |parts: &[usize]| parts.iter().any(|part| (range[0]..range[1]).contains(part));
            assert_eq!(words.contains("succeeded"), within(&shown("k")), "{words}");
            assert_eq!(words.contains("failed"), within(&failed), "{words}");
            assert_eq!(
                words.contains("interrupted") || words.contains("cancelled"),
                within(&shown("i")),
                "{words}"
            );
            assert_eq!(words.contains("not ended"), within(&shown("o")), "{words}");
            assert_eq!(words.contains("on record"), within(&not_known), "{words}");
            let is_empty = ["k", "f", "g", "m", "n", "i", "o"].iter().all(|class| !within(&shown(class)));
            assert_eq!(words == "nothing ran" || words == "not on record", is_empty, "{words}");
        }
        let told = |what: &str| -> u64 {
            let parts = rows.iter().flat_map(|(_, words)| words.split([',', ';']));
            parts.filter_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok()).sum()
        };
        assert_eq!(told("succeeded"), strip.bins.iter().map(|bin| bin.success).sum::<u64>());
        assert_eq!(told("failed"), strip.bins.iter().map(|bin| bin.failed).sum::<u64>());
        let mut table = Html::default();
        strip.table(&mut table, ROWS_MAX);
        for (_, words) in rows.iter().rev().take(ROWS_MAX) {
            assert!(table.as_str().contains(&format!("<td>{words}")), "{words}");
        }
    }
    assert!(drawn_as_told > 500, "{drawn_as_told}");
}

fn lines_of(strip: &Strip) -> usize {
    KINDS.iter().map(|kind| strip.lines(kind, 1).count()).sum()
}

#[test]
fn what_changes_all_the_time_is_drawn_more_coarsely_and_nothing_is_left_out() {
    let mut strip = Strip::empty(Span::Day, Wall::from_seconds(0), NOW);
    for (index, bin) in strip.bins.iter_mut().enumerate() {
        bin.failed = u64::from(index % 2 == 0);
        bin.success = u64::from(index % 2 == 1);
    }
    let draw = |strip: &Strip| {
        let mut html = Html::default();
        strip.draw(&mut html);
        html.as_str().to_owned()
    };
    assert_eq!(drawn(&draw(&strip), "k").len(), 48, "two kinds in turns are drawn as they are");
    for (index, bin) in strip.bins.iter_mut().enumerate() {
        bin.failed = u64::from(index % 4 < 2);
        bin.interrupted = u64::from(index % 2 == 1);
    }
    assert!(lines_of(&strip) > LINES_MAX);
    let svg = draw(&strip);
    assert!(svg.len() < 900, "{} bytes", svg.len());
    for (index, bin) in strip.bins.iter().enumerate() {
        for kind in KINDS.iter().filter(|kind| (kind.is_there)(bin)) {
            assert!(drawn(&svg, kind.class).contains(&index), "{} {index}", kind.class);
        }
    }
}
