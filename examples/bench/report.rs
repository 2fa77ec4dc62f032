//! What was found: on the terminal, as JSON, as a page and as plots. Benches that were not run this time keep what they
//! found before, unless that was on another machine.

use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::Outcome;
use crate::benches::{BENCHES, Bench};
use crate::measure::Figure;
use crate::row::{Found, Row, number};

const COMMAND: &str = "cargo run --release --example bench -- all";

pub(crate) fn print_machine(machine: &Value) {
    let tell = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
    println!("{}, {} cores, {}, {}", tell("cpu"), machine["cores"], tell("kernel"), tell("file_system"));
    println!("{}, commit {}, load average {}", tell("date"), tell("commit"), tell("load"));
    for (name, version) in machine["programs"].as_object().into_iter().flatten() {
        println!("  {name}: {}", version.as_str().unwrap_or_default());
    }
}

fn figure(figure: &Figure) -> String {
    let median = number(figure.median());
    if figure.is_single() {
        return median;
    }
    format!("{median} ({} to {})", number(figure.least()), number(figure.most()))
}

fn verdict(is_reached: Option<bool>) -> &'static str {
    match is_reached {
        Some(true) => "reached",
        Some(false) => "NOT REACHED",
        None => "",
    }
}

pub(crate) fn print_row(row: &Row) {
    println!("  {:<78} {} {}", row.what, figure(&row.figure), row.unit);
    for peer in &row.peers {
        let (theirs, ratio) = (figure(&peer.figure), figure(&peer.ratio));
        println!("    {:<76} {theirs} {}; ratio {ratio}", peer.name, row.unit);
    }
    let goals = row.goals();
    if !goals.is_empty() {
        println!("    to be {}: {}", goals.join(", "), verdict(row.is_reached()));
    }
    for note in &row.notes {
        println!("    {note}");
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks")
}

/// What tells one machine from another.
fn same_machine(left: &Value, right: &Value) -> bool {
    ["cpu", "cores", "kernel", "file_system"].iter().all(|name| left[name] == right[name])
}

pub(crate) fn write(machine: &Value, bench: &Bench, found: &Found) -> Outcome<()> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("results.json");
    let before: Value = std::fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_else(|| json!({}));
    let mut benches: Map<String, Value> = match before["benches"].as_object() {
        Some(benches) if same_machine(&before["machine"], machine) => benches.clone(),
        _ => Map::new(),
    };
    let rows: Vec<Value> = found.rows.iter().map(Row::json).collect();
    let plots: Vec<Value> = found
        .plots
        .iter()
        .map(|plot| {
            let curves: Vec<Value> = plot.curves.iter().map(|curve| json!({ "name": curve.name, "points": curve.points })).collect();
            json!({ "name": plot.name, "title": plot.title, "across": plot.across, "up": plot.up, "curves": curves })
        })
        .collect();
    let told = json!({ "date": machine["date"], "commit": machine["commit"], "load": machine["load"], "rows": rows, "plots": plots });
    benches.insert(bench.name.to_owned(), told);
    for plot in &found.plots {
        std::fs::write(folder.join(format!("{}.svg", plot.name)), plot.svg())?;
    }
    let all = json!({ "machine": machine, "benches": benches });
    std::fs::write(&file, document(&all))?;
    std::fs::write(folder.join("README.md"), page(&all)?)?;
    Ok(())
}

/// The JSON, a row a line: so that what changed is seen.
fn document(all: &Value) -> String {
    let mut text = format!("{{\n\"machine\": {},\n\"benches\": {{", all["machine"]);
    for (index, (name, found)) in all["benches"].as_object().into_iter().flatten().enumerate() {
        let lines = |list: &str| -> String {
            let values = found[list].as_array().into_iter().flatten();
            values.map(|value| format!("\n  {value}")).collect::<Vec<_>>().join(",")
        };
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!(
            "{comma}\n\"{name}\": {{\n \"date\": {}, \"commit\": {}, \"load\": {},\n \"rows\": [{}],\n \"plots\": [{}]\n}}",
            found["date"], found["commit"], found["load"], lines("rows"), lines("plots")
        ));
    }
    text + "\n}\n}\n"
}

/// The page, from the JSON alone.
fn page(all: &Value) -> Outcome<String> {
    let mut page = String::from("# Speed, size and wear\n\nMade by `");
    let machine = &all["machine"];
    let tell = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
    writeln!(
        page,
        "{COMMAND}`, and `-- growth` for the plots; the figures behind it are in [results.json](results.json).\n"
    )?;
    writeln!(
        page,
        "{}, {} cores, {} MiB, {}, databases on {}. What is measured has one core, those who call have another one; \
         figures are medians of rounds in turns, with the least and the most in parentheses; ratios are of figures of the same round.\n",
        tell("cpu"),
        machine["cores"],
        machine["memory_mib"],
        tell("kernel"),
        tell("file_system")
    )?;
    writeln!(page, "| program | version |\n| --- | --- |")?;
    for (name, version) in machine["programs"].as_object().into_iter().flatten() {
        writeln!(page, "| {name} | {} |", version.as_str().unwrap_or_default())?;
    }
    for bench in BENCHES {
        let found = &all["benches"][bench.name];
        if found.is_null() {
            continue;
        }
        let told = |name: &str| found[name].as_str().unwrap_or_default();
        writeln!(
            page,
            "\n## {}\n\n`{}`, {}, commit {}, load average before it {}\n",
            bench.about,
            bench.name,
            told("date"),
            told("commit"),
            told("load")
        )?;
        table(&mut page, found["rows"].as_array().map_or(&[][..], Vec::as_slice))?;
        for plot in found["plots"].as_array().into_iter().flatten() {
            let (name, title) =
                (plot["name"].as_str().unwrap_or_default(), plot["title"].as_str().unwrap_or_default());
            writeln!(page, "\n![{title}]({name}.svg)")?;
        }
    }
    Ok(page)
}

fn told_figure(figure: &Value) -> String {
    let value = |name: &str| figure[name].as_f64().unwrap_or(f64::NAN);
    let is_single = figure["rounds"].as_array().is_none_or(|rounds| rounds.len() < 2);
    let median = number(value("median"));
    if is_single {
        median
    } else {
        format!("{median} ({} to {})", number(value("least")), number(value("most")))
    }
}

fn table(page: &mut String, rows: &[Value]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "| what | measured | beside it | to be | |\n| --- | --- | --- | --- | --- |")?;
    for row in rows {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let unit = text(&row["unit"]);
        let peers: Vec<String> = row["peers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|peer| {
                format!(
                    "{}: {} {unit}, ratio {}",
                    text(&peer["name"]),
                    told_figure(&peer["figure"]),
                    told_figure(&peer["ratio"])
                )
            })
            .collect();
        let list = |name: &str| row[name].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let what: Vec<String> = std::iter::once(text(&row["what"])).chain(list("notes")).collect();
        writeln!(
            page,
            "| {} | {} {unit} | {} | {} | {} |",
            what.join("; "),
            told_figure(&row["figure"]),
            peers.join("<br>"),
            list("goals").join("<br>"),
            verdict(row["reached"].as_bool()).to_lowercase()
        )?;
    }
    Ok(())
}
