//! What files hold.

use super::*;
use crate::pipeline::record::{Record, Value};
use std::borrow::Cow;

fn object(json: &str) -> Vec<(String, String)> {
    match jsonl::parse(json.as_bytes()) {
        Yielded::Record(Record { fields, json: Some(_) }) => {
            fields.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn values(json: &str) -> Vec<String> {
    object(json).into_iter().map(|(_, value)| value).collect()
}

fn reason(json: &[u8]) -> String {
    match jsonl::parse(json) {
        Yielded::Malformed { reason, .. } => reason,
        other @ Yielded::Record(_) => panic!("{other:?}"),
    }
}

fn rows(text: &str) -> Vec<String> {
    let mut bench = Bench::new("x.csv", Format::Csv);
    bench.append("x.csv", text);
    bench.read()
}

#[test]
fn fields_of_an_object_come_in_its_order_and_with_its_types() {
    assert_eq!(
        values(r#"{"a":"x","b":-5,"c":1.5,"d":true,"e":false,"f":null,"g":{"h": [1]},"i":[],"j":1e3}"#),
        [
            r#"Text("x")"#,
            "Integer(-5)",
            "Real(1.5)",
            "Boolean(true)",
            "Boolean(false)",
            "Null",
            r#"Json("{\"h\": [1]}")"#,
            r#"Json("[]")"#,
            "Real(1000.0)"
        ]
    );
}

#[test]
fn a_number_that_no_64_bits_hold_keeps_its_digits() {
    assert_eq!(
        values(r#"{"a":9223372036854775807,"b":9223372036854775808,"c":1e999}"#),
        ["Integer(9223372036854775807)", r#"Json("9223372036854775808")"#, r#"Json("1e999")"#]
    );
}

#[test]
fn a_key_that_comes_twice_counts_as_it_came_last_in_the_place_of_the_first() {
    let fields = object(r#"{"a":1,"b":2,"\u0061":3}"#);
    assert_eq!(
        fields,
        [("a".to_owned(), "Integer(3)".to_owned()), ("b".to_owned(), "Integer(2)".to_owned())]
    );
}

#[test]
fn of_many_fields_those_of_one_name_count_as_of_few() {
    let spelled = |number: usize| match number % 3 {
        0 => format!("n{number}"),
        _ => format!("\\u006e{number}"),
    };
    for (distinct, pairs) in [(31, 40), (32, 40), (33, 40), (34, 70), (250, 500), (499, 500), (500, 500)] {
        let written: Vec<String> =
            (0..pairs).map(|at| format!("\"{}\":{at}", spelled(at * 7 % distinct))).collect();
        let mut expected: Vec<(String, String)> = Vec::new();
        for at in 0..pairs {
            let (name, value) = (format!("n{}", at * 7 % distinct), format!("Integer({at})"));
            match expected.iter_mut().find(|field| field.0 == name) {
                Some(field) => field.1 = value,
                None => expected.push((name, value)),
            }
        }
        assert_eq!(expected.len(), distinct.min(pairs));
        assert_eq!(object(&format!("{{{}}}", written.join(","))), expected, "{distinct} of {pairs}");
    }
}

#[test]
fn text_is_borrowed_unless_it_is_escaped() {
    let Yielded::Record(record) = jsonl::parse(br#" {"a":"x","b":"\u00e9\"\n"} "#) else { panic!() };
    assert!(matches!(&record.fields[0].1, Value::Text(Cow::Borrowed("x"))));
    assert!(matches!(&record.fields[1].1, Value::Text(text) if text == "é\"\n"));
    assert_eq!(record.json.unwrap(), r#"{"a":"x","b":"\u00e9\"\n"}"#);
}

#[test]
fn what_is_no_object_is_malformed_and_says_why() {
    assert!(reason(b"[1]").contains("an array; a JSON object would be right"));
    assert!(reason(b"  ").contains("would be right"));
    assert!(reason(b"5").contains("a number"));
    assert!(reason(b"{\"a\":\xff}").contains("not UTF-8 at byte 6"));
    assert!(reason(br#"{"a":}"#).contains("no JSON object that can be read: expected value"));
    assert!(reason(br#"{"a":1} {"a":2}"#).contains("trailing"));
    assert!(reason(br#"{"a":"\ud800"}"#).contains("no JSON object"));
    let wide: Vec<String> = (0..=limits::RECORD_FIELDS_MAX).map(|number| format!("\"{number}\":1")).collect();
    assert!(reason(format!("{{{}}}", wide.join(",")).as_bytes()).contains("more than 500 fields"));
}

#[test]
fn nesting_ends_where_that_of_serde_json_ends() {
    for (depth, is_read) in [(127, true), (128, false)] {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(serde_json::from_str::<Json>(&text).is_ok(), is_read);
        assert_eq!(matches!(jsonl::parse(text.as_bytes()), Yielded::Record(_)), is_read);
    }
    let brackets_in_text = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(500));
    assert!(matches!(jsonl::parse(brackets_in_text.as_bytes()), Yielded::Record(_)));
}

#[test]
fn a_half_written_line_waits_for_its_end() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\r\n\n\r\nb");
    assert_eq!(bench.read(), ["a"]);
    assert!(bench.is_end);
    assert_eq!(bench.bytes, 6);
    let cursor = bench.cursor.clone();
    assert_eq!(bench.read(), [""; 0]);
    assert_eq!(bench.cursor, cursor);
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["bc"]);
}

#[test]
fn a_line_that_is_no_text_is_malformed_and_a_nul_stays() {
    let mut bench = Bench::lines();
    bench.append("x.log", b"a\0b\n\xff\nc\n");
    let lines = bench.read();
    assert_eq!((lines[0].as_str(), lines[2].as_str()), ("a\0b", "c"));
    assert!(lines[1].starts_with("! it is not UTF-8"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let mut bench = Bench::new("x", Format::Jsonl);
    bench.append("x", "\u{feff}{\"a\":1}\n");
    assert!(bench.read()[0].contains("Integer(1)"));
    assert_eq!(rows("\u{feff}\"a\"\n1\n"), [r#"[("a", Text("1"))]"#]);
}

#[test]
fn a_record_that_is_too_long_is_met_once_and_passed_over() {
    for format in [Format::Lines, Format::Jsonl, Format::Csv] {
        let mut bench = Bench::new("x", format);
        let begin = if format == Format::Csv { "name\n" } else { "" };
        bench.append("x", format!("{begin}{}", "y".repeat(5 * limits::RECORD_BYTES_MAX)));
        let lines = bench.read_in_steps(Room { records: 10, bytes: 1000 });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("longer than 1048576 bytes"));
        assert_eq!(bench.cursor["files"][0]["skipping"], true);
        bench.append("x", "the end of it\n{\"a\":1}\n");
        assert_eq!(bench.read().len(), 1);
        assert!(bench.source.window.capacity_bytes() <= 4 * limits::RECORD_BYTES_MAX);
    }
}

#[test]
fn a_record_of_the_greatest_length_is_none_too_long() {
    for (surplus, is_long) in [(0, false), (1, true)] {
        let mut bench = Bench::lines();
        bench.append("x.log", format!("{}\r\nz\n", "y".repeat(limits::RECORD_BYTES_MAX + surplus)));
        let lines = bench.read();
        assert_eq!((lines.len(), lines[0].starts_with('!')), (2, is_long));
    }
}

#[test]
fn malformed_text_is_cut() {
    let Yielded::Malformed { text, .. } = lines::malformed(&[0xff; 100_000], String::new()) else { panic!() };
    assert!(
        text.len() <= limits::DEAD_LETTER_RECORD_BYTES_MAX
            && text.len() > limits::DEAD_LETTER_RECORD_BYTES_MAX - 3
    );
}

#[test]
fn rows_are_read_as_rfc_4180_has_them() {
    assert_eq!(
        rows("a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\r\n\r\n,\"\"\n"),
        [r#"[("a", Text("1")), ("b", Text("x, \"y\"\r\nz"))]"#, r#"[("a", Text("")), ("b", Text(""))]"#]
    );
}

#[test]
fn a_row_that_does_not_fit_is_malformed() {
    let rows = rows("a,b\n1\n1,2,3\n\"x\"y,2\n1,2\n");
    assert_eq!(rows[0], "! it has 1 values; 2, one for each name, would be right");
    assert_eq!(rows[1], "! it has 3 values; 2, one for each name, would be right");
    assert!(rows[2].contains("after its closing quote"));
    assert_eq!(rows.len(), 4);
}

#[test]
fn a_row_waits_for_its_end_and_its_names_are_read_again() {
    let mut bench = Bench::new("x.csv", Format::Csv);
    bench.append("x.csv", "a,");
    assert_eq!(bench.read(), [""; 0]);
    assert!(bench.cursor.is_null());
    bench.append("x.csv", "b\n1,\"2\n");
    assert_eq!(bench.read(), [""; 0]);
    bench.restart();
    bench.append("x.csv", "3\"\n");
    assert_eq!(bench.read(), [r#"[("a", Text("1")), ("b", Text("2\n3"))]"#]);
}

#[test]
fn names_that_are_none_fail_the_run() {
    for (names, why) in
        [("a,,b\n", "name 2 is empty"), ("a,b,a\n", "\"a\" twice"), ("\"a\"b\n", "closing quote")]
    {
        let mut bench = Bench::new("x.csv", Format::Csv);
        bench.append("x.csv", names);
        assert!(bench.try_read(ALL).unwrap_err().message.contains(why));
    }
}

#[test]
fn a_quote_that_is_never_closed_costs_its_line_only() {
    let mut bench = Bench::new("x.csv", Format::Csv);
    let many = "1,2\n".repeat(limits::RECORD_BYTES_MAX / 4 + 10);
    bench.append("x.csv", format!("a,b\n\"1,2\n{many}"));
    let rows = bench.read();
    assert!(rows[0].contains("longer than"));
    assert_eq!(rows.len(), 1 + many.len() / 4);
    bench.append("x.csv", "\"3,4\n5,6\n");
    assert_eq!(bench.read(), [""; 0]);
    bench.rename("x.csv", "x.csv.1");
    bench.append("x.csv", "a,b\n7,8\n");
    let rows = bench.read();
    assert!(rows[0].contains("not closed") && rows.len() == 3, "{rows:?}");
}

#[test]
fn the_room_changes_nothing_in_what_is_read() {
    let jsonl = "{\"a\":1}\n\nno\n{\"b\":\"xx\"}\r\n".repeat(50);
    let csv = format!("a,b\n{}", "1,2\n\"x\ny\",\"\"\"\"\n\n3\n".repeat(50));
    for (format, text) in [(Format::Jsonl, &jsonl), (Format::Csv, &csv), (Format::Lines, &jsonl)] {
        let mut whole = Bench::new("x", format);
        whole.append("x", text);
        let expected = whole.read();
        assert!(expected.len() >= 150 && whole.is_end);
        assert_eq!(whole.bytes, text.len() as u64);
        for room in [(1, usize::MAX), (3, usize::MAX), (usize::MAX, 1), (usize::MAX, 20)] {
            let mut bench = Bench::new("x", format);
            bench.append("x", text);
            assert_eq!(bench.read_in_steps(Room { records: room.0, bytes: room.1 }), expected);
            assert_eq!(bench.bytes, text.len() as u64);
        }
    }
}

#[test]
fn writing_in_pieces_changes_nothing_in_what_is_read() {
    let text = format!("a,b\n{}", "1,2\r\n\"x\ny\",\"\"\"\"\n\n3\né,ü\n".repeat(20));
    for format in [Format::Csv, Format::Lines, Format::Jsonl] {
        let mut whole = Bench::new("x", format);
        whole.append("x", &text);
        let expected = whole.read();
        let mut state = 7_u64;
        let mut bench = Bench::new("x", format);
        let (mut rest, mut yielded) = (text.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let bytes = usize::try_from(next_random(&mut state) % 16).unwrap();
            let (piece, left) = rest.split_at(bytes.clamp(1, rest.len()));
            bench.append("x", piece);
            rest = left;
            yielded.extend(bench.read());
        }
        assert_eq!(yielded, expected);
    }
}

#[test]
fn a_record_begins_where_its_place_says() {
    let mut bench = Bench::lines();
    bench.append("x.log", "ab\n\ncd\n");
    let mut offsets = Vec::new();
    let path = bench.path("x.log").to_string_lossy().into_owned();
    let take = &mut |_: Yielded<'_>, place: Place<'_>| {
        assert_eq!(place.path, path);
        offsets.push(format!("{:?}", place.at));
        Ok(())
    };
    bench.source.read(&Json::Null, ALL, &bench.files, take).unwrap();
    assert_eq!(offsets, ["Offset(0)", "Offset(4)"]);
}
