//! What no part of a pipeline can say alone: parts that get in each other's way.

use super::values::{is_read_as, same_file};
use crate::config::key::Judge;
use crate::flow::{HttpSource, Pipeline, SinkSettings, SourceSettings};
use crate::limits;

pub(super) fn check(pipeline: &Pipeline, judge: &mut Judge<'_>) {
    source_and_sink(pipeline, judge);
    dead_letters(pipeline, judge);
    if let SourceSettings::Http(HttpSource { next: Some(_), .. }) = &pipeline.source
        && pipeline.batch.whole
    {
        let help = "remove one of the two: each page is a batch, so that it is taken once";
        judge.fault_of("source.next", "names pages, and [batch] whole = true makes a run one batch", help);
    }
    let (count, most) = (pipeline.transforms.len(), limits::TRANSFORMS_MAX);
    if count > most {
        let help = "join some of them in one SELECT, WITH parts of it by name";
        judge.fault_of("transform", format!("there are {count}, more than {most}"), help);
    }
}

/// A flow that reads what it writes never comes to an end.
fn source_and_sink(pipeline: &Pipeline, judge: &mut Judge<'_>) {
    match (&pipeline.source, &pipeline.sink) {
        (SourceSettings::File(source), SinkSettings::File(sink)) if is_read_as(&source.path, &sink.path) => {
            let help = "give the sink a file of its own";
            judge.fault_of("sink.path", "is a file that the source reads", help);
        }
        (SourceSettings::Sqlite(source), SinkSettings::Sqlite(sink))
            if same_file(&source.database, &sink.database)
                && source.table.as_ref().is_some_and(|table| table.eq_ignore_ascii_case(&sink.table)) =>
        {
            let help = "give the sink a table of its own";
            judge.fault_of("sink.table", "is the table that the source reads", help);
        }
        (SourceSettings::File(source), SinkSettings::Sqlite(sink))
            if is_read_as(&source.path, &sink.database) =>
        {
            let help = "give the path of a database, such as database = \"readings.db\" under [sink]";
            judge.fault_of("sink.database", "is a file that the source reads", help);
        }
        (SourceSettings::Sqlite(source), SinkSettings::File(sink))
            if same_file(&source.database, &sink.path) =>
        {
            let help = "give the sink a file of its own";
            judge.fault_of("sink.path", "is the database that the source reads", help);
        }
        _ => {}
    }
}

/// Nor may the rejected records be read, or stand among those that were not rejected.
fn dead_letters(pipeline: &Pipeline, judge: &mut Judge<'_>) {
    let is_source = match &pipeline.source {
        SourceSettings::File(source) => is_read_as(&source.path, &pipeline.on_reject),
        SourceSettings::Sqlite(source) => same_file(&source.database, &pipeline.on_reject),
        _ => false,
    };
    let is_sink = match &pipeline.sink {
        SinkSettings::File(sink) => same_file(&sink.path, &pipeline.on_reject),
        SinkSettings::Sqlite(sink) => same_file(&sink.database, &pipeline.on_reject),
        _ => false,
    };
    for (part, is_same) in [("source", is_source), ("sink", is_sink)] {
        if is_same {
            // Where the default is hit upon, the other part did it.
            let key = if judge.place("schema.on_reject").is_some() { "schema.on_reject" } else { part };
            let message = format!("the file for rejected records is also the {part}'s");
            let help = "give them a file of their own, such as on_reject = \"dead-letter/readings.jsonl\" under \
                        [schema]";
            judge.fault_of(key, message, help);
        }
    }
}
