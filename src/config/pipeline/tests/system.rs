//! The source `system` as authors write it.

use super::*;

#[test]
fn a_machine_is_looked_at_whole_unless_metrics_are_named() {
    let all = json!({
        "type": "system", "metrics": ["load", "memory", "disk", "temperature", "uptime", "network"], "disk": "/",
    });
    assert_eq!(settings(&from("[source]\ntype = 'system'"))["source"], all);
    let some = "[source]\ntype = 'system'\nmetrics = ['uptime', 'disk']\ndisk = '../data'";
    let expected = json!({ "type": "system", "metrics": ["disk", "uptime"], "disk": "/box/flows/../data" });
    assert_eq!(settings(&from(some))["source"], expected);
    let short: SourceSettings = serde_json::from_value(json!({ "type": "system" })).unwrap();
    assert_eq!(serde_json::to_value(short).unwrap(), all);
}

#[test]
fn a_metric_is_known_and_named_once() {
    let there_is = "there is load, memory, disk, temperature, uptime, network";
    let one = "remove one of the two";
    let some = "name some of them, such as metrics = [\"load\", \"memory\"], or leave the key out for all";
    let list = "give a list of metrics, such as metrics = [\"load\", \"memory\", \"disk\", \"temperature\", \
                \"uptime\", \"network\"] under [source]";
    let meant = format!("did you mean \"memory\"? {there_is}");
    for (metrics, expected) in [
        ("['load', 'memroy']", vec![("`memroy` is not a metric that is known", meant.as_str())]),
        ("['battery']", vec![("`battery` is not a metric that is known", there_is)]),
        (
            "['', 'x']",
            vec![
                ("`` is not a metric that is known", there_is),
                ("`x` is not a metric that is known", there_is),
            ],
        ),
        ("['load', 'disk', 'load']", vec![("`load` stands there twice", one)]),
        ("[]", vec![("is an empty list", some)]),
        ("[1]", vec![("the number 1 is not text", list)]),
        ("'load'", vec![("the text `load` is not a list", list)]),
    ] {
        let text = from(&format!("[source]\ntype = 'system'\nmetrics = {metrics}"));
        let expected: Vec<Found> =
            expected.into_iter().map(|(message, help)| found(4, "source.metrics", message, help)).collect();
        assert_eq!(faults(&text), expected, "{metrics}");
    }
    let known = "remove it; known here: type, metrics, disk";
    assert_eq!(
        faults(&from("[source]\ntype = 'system'\nzone = 'x'")),
        [found(4, "source.zone", "is not a key that is known here", known)]
    );
    let several = from("[source]\ntype = 'system'\nmetrics = [\n 'load',\n 'lod',\n]");
    assert_eq!(faults(&several)[0].0, 6, "the item's own line");
}

#[test]
fn what_a_machine_yields_goes_into_any_sink() {
    let source = "run_interval = 60\n[source]\ntype = 'system'\n";
    for sink in [
        "[sink]\ntype = 'file'\npath = 'out.csv'\nformat = 'csv'\n",
        "[sink]\ntype = 'sqlite'\ndatabase = 'o.db'\ntable = 't'\n",
    ] {
        assert_eq!(settings(&format!("{source}{sink}"))["source"]["type"], "system");
    }
}
