//! A collection that grows while it is read, by runs that end anywhere: each record arrives once, in its order.

use super::*;

/// A number below a bound (SplitMix64): the seed is all that a case is.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn happens(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// How pages are named.
#[derive(Clone, Copy, Debug)]
enum Style {
    Link,
    Url,
    Parameter,
    Call,
    /// A token for what comes after the records, always.
    Token,
    TokenCall,
}

/// A server with the records `0..count`, so many a page.
struct Server {
    style: Style,
    count: usize,
    page: usize,
}

impl Server {
    fn settings(&self) -> Json {
        let by_value = |parameter: Json| json!({ "value": { "pointer": "/next", "parameter": parameter } });
        match self.style {
            Style::Link => json!({ "next": "link", "format": "jsonl" }),
            Style::Url => json!({ "pointer": "/rows", "next": by_value(Json::Null) }),
            Style::Parameter | Style::Token => json!({ "pointer": "/rows", "next": by_value(json!("p")) }),
            Style::Call | Style::TokenCall => {
                json!({ "pointer": "/rows", "next": by_value(json!("p")), "json_rpc": { "method": "list" } })
            }
        }
    }

    fn answer(&self, exchange: &Exchange) -> Answer {
        let asked = match &exchange.body {
            Some(body) => serde_json::from_slice::<Json>(body).unwrap()["params"]["p"].as_u64(),
            None => exchange.url.target().split("p=").nth(1).map(|page| page.parse().unwrap()),
        };
        let number = usize::try_from(asked.unwrap_or(0)).unwrap();
        let is_token = matches!(self.style, Style::Token | Style::TokenCall);
        let begin = if is_token { number } else { number * self.page };
        let end = self.count.min(begin + self.page);
        let has_next = is_token || self.count > begin + self.page;
        let records = (begin..end).map(|n| json!({ "n": n }));
        let next = match self.style {
            Style::Link => {
                let lines: String = records.map(|record| format!("{record}\n")).collect();
                let link = format!("<?p={}>; rel=next", number + 1);
                let fields = [("Link", link.as_str()), ("ETag", "\"one for all\"")];
                return answer(200, &fields[usize::from(!has_next)..], lines);
            }
            _ if !has_next => Json::Null,
            Style::Url => json!(format!("/a?p={}", number + 1)),
            Style::Parameter | Style::Call => json!(number + 1),
            Style::Token | Style::TokenCall => json!(end),
        };
        let document = json!({ "rows": records.collect::<Vec<_>>(), "next": next });
        // By the records alone: that another page has come is not in it.
        let etag = format!("\"{end}\"");
        let same = ("If-None-Match".to_owned(), etag.clone());
        match self.style {
            Style::Call | Style::TokenCall => {
                answer(200, &[], json!({ "id": 1, "result": document }).to_string())
            }
            _ if exchange.fields.contains(&same) => answer(304, &[], ""),
            _ => answer(200, &[("ETag", &etag)], document.to_string()),
        }
    }
}

/// What is stored: records and cursor together.
struct Stored {
    records: Vec<u64>,
    cursor: Json,
}

/// One run, which may be cut short between any two steps. Whether it came to its end.
fn run(server: &mut Server, stored: &mut Stored, random: &mut Random, may_end: bool) -> bool {
    let mut source = source(server.settings());
    loop {
        if may_end && random.happens(8) {
            return false;
        }
        server.count += usize::try_from(if may_end { random.below(4) } else { 0 }).unwrap();
        let mut batch = Vec::new();
        let busy_at = if random.happens(6) { random.below(4) } else { u64::MAX };
        let mut take = |yielded: Yielded<'_>, _: Place<'_>| {
            if batch.len() as u64 == busy_at {
                return Err(Failure { is_busy: true, ..Failure::sink("busy") });
            }
            let record: Json = serde_json::from_str(&shown_of(yielded)).unwrap();
            batch.push(record["n"].as_u64().unwrap());
            Ok(())
        };
        match source.read(&stored.cursor, ROOM, &SystemFiles::default(), &mut take) {
            Err(failure) if failure.is_busy => {}
            Err(failure) => {
                assert!(may_end && failure.message.contains("answered 503"), "{}", failure.message);
                return false;
            }
            Ok(Progress { needs: Some(Need::Exchange(exchange)), .. }) => {
                let answer = if may_end && random.happens(5) {
                    answer(503, &[], "")
                } else {
                    server.answer(&exchange)
                };
                source.happened(Happened::Answered(Ok(Box::new(answer))));
            }
            Ok(Progress { needs: Some(_), .. }) => source.happened(Happened::Resumed),
            Ok(progress) => {
                assert!(progress.warnings.is_empty());
                if may_end && random.happens(8) {
                    return false;
                }
                *stored = Stored { records: [&stored.records[..], &batch].concat(), cursor: progress.cursor };
                if progress.is_end {
                    return true;
                }
            }
        }
    }
}

#[test]
fn each_record_of_a_growing_collection_arrives_once_whatever_cuts_the_runs_short() {
    for seed in 0..600 {
        let mut random = Random(seed);
        let style = [Style::Link, Style::Url, Style::Parameter, Style::Call, Style::Token, Style::TokenCall]
            [usize::try_from(seed % 6).unwrap()];
        let page = usize::try_from(1 + random.below(5)).unwrap();
        let mut server = Server { style, count: usize::try_from(random.below(12)).unwrap(), page };
        let mut stored = Stored { records: Vec::new(), cursor: Json::Null };
        for _ in 0..20 {
            run(&mut server, &mut stored, &mut random, true);
        }
        assert!(run(&mut server, &mut stored, &mut random, false), "seed {seed}");
        let expected: Vec<u64> = (0..server.count as u64).collect();
        assert_eq!(stored.records, expected, "seed {seed}, {style:?}, pages of {page}");
    }
}
