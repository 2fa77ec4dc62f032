//! What only the keys of pipelines hold: names, statements, fields, records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::document::{Node, Raw, Table};
use crate::config::fault::shown;
use crate::config::key::most_alike;
use crate::config::kind::{
    Wrong, collected, duration, integer, items, path, resolved, size, text, whole_seconds, within,
};
use crate::config::size::format_size;
use crate::flow::{Field, FieldType, FileSource, Metric, Rotation};
use crate::limits;
use crate::sorted::sort_by;
use crate::time::Wall;

/// Names of tables, columns and fields are shorter than this.
const NAME_BYTES_MAX: usize = 256;

type Record = serde_json::Map<String, serde_json::Value>;

/// The name of a table or column.
pub(super) fn name(value: &Raw) -> Result<String, Wrong> {
    let name = text(value, NAME_BYTES_MAX)?;
    if name.trim().is_empty() { Err("the name is empty".to_owned().into()) } else { Ok(name) }
}

pub(super) fn name_into(value: &Raw, set: impl FnOnce(String)) -> Result<(), Vec<Wrong>> {
    name(value).map(set).map_err(|wrong| vec![wrong])
}

pub(super) fn sql_into(value: &Raw, set: impl FnOnce(String)) -> Result<(), Vec<Wrong>> {
    let sql = text(value, limits::TRANSFORM_SQL_BYTES_MAX).and_then(|sql| match sql.trim().is_empty() {
        true => Err("the statement is empty".to_owned().into()),
        false => Ok(sql),
    });
    sql.map(set).map_err(|wrong| vec![wrong])
}

/// Columns that tell records apart, each named once.
pub(super) fn columns(value: &Raw) -> Result<Vec<String>, Vec<Wrong>> {
    let columns = items(value, name)?;
    if columns.is_empty() {
        let help = "name the columns that tell records apart, such as key = [\"sensor\"]".to_owned();
        return Err(vec![Wrong::with_help("is an empty list".to_owned(), help)]);
    }
    match repeated(columns.iter().map(String::as_str)) {
        Some(name) => {
            let message = format!("{} stands there twice", shown(name));
            Err(vec![Wrong::with_help(message, "remove one of the two".to_owned())])
        }
        None => Ok(columns),
    }
}

/// What a machine is asked for, each thing once.
pub(super) fn metrics(value: &Raw) -> Result<BTreeSet<Metric>, Vec<Wrong>> {
    let found = items(value, metric)?;
    if found.is_empty() {
        let help =
            "name some of them, such as metrics = [\"load\", \"memory\"], or leave the key out for all";
        return Err(vec![Wrong::with_help("is an empty list".to_owned(), help.to_owned())]);
    }
    match repeated(found.iter().map(|metric| metric.as_str())) {
        Some(name) => {
            let message = format!("{} stands there twice", shown(name));
            Err(vec![Wrong::with_help(message, "remove one of the two".to_owned())])
        }
        None => Ok(found.into_iter().collect()),
    }
}

fn metric(value: &Raw) -> Result<Metric, Wrong> {
    let word = text(value, NAME_BYTES_MAX)?;
    Metric::from_word(&word).ok_or_else(|| {
        let words = Metric::ALL.map(Metric::as_str);
        let there_is = format!("there is {}", words.join(", "));
        let help = match most_alike(&word, words.into_iter()) {
            Some(meant) => format!("did you mean \"{meant}\"? {there_is}"),
            None => there_is,
        };
        Wrong::with_help(format!("{} is not a metric that is known", shown(&word)), help)
    })
}

/// A name that is there before, by SQL's lights: without regard to case.
pub(super) fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Some(name);
        }
        seen.push(name);
    }
    None
}

/// The path of a file, which is no folder.
pub(super) fn file(value: &Raw, base: &Path) -> Result<PathBuf, Wrong> {
    let path = path(value, base)?;
    let written = text(value, usize::MAX)?;
    if written.ends_with('/') || Path::new(&written).file_name().is_none() {
        return Err(format!("{} is a folder, not a file", shown(&written)).into());
    }
    Ok(path)
}

/// The path of a file, whose last part may be a pattern.
pub(super) fn pattern(value: &Raw, base: &Path) -> Result<PathBuf, Wrong> {
    let path = file(value, base)?;
    let written = text(value, usize::MAX)?;
    match written.rsplit_once('/') {
        Some((folder, _)) if folder.contains(FileSource::WILDCARDS) => {
            let message = format!("the folder {} holds one of * ? [", shown(folder));
            let help = "name one folder; only the part behind the last / may be a pattern, as in \
                        path = \"/var/log/readings-*.jsonl\"";
            Err(Wrong::with_help(message, help.to_owned()))
        }
        _ => Ok(path),
    }
}

pub(super) fn table(value: &Raw) -> Result<&Table, Vec<Wrong>> {
    match value {
        Raw::Table(table) => Ok(table),
        other => Err(vec![format!("{} is not a table", other.sort()).into()]),
    }
}

/// Names that SQLite or we give to databases.
const TAKEN_NAMES: [&str; 3] = ["main", "temp", "batch"];

/// Databases by the names of their schemas.
pub(super) fn attached(value: &Raw, base: &Path) -> Result<BTreeMap<String, PathBuf>, Vec<Wrong>> {
    let table = table(value)?;
    if table.len() > limits::ATTACHED_MAX {
        let (count, most) = (table.len(), limits::ATTACHED_MAX);
        let help = format!("attach {most} at most, or split the transform in two");
        return Err(vec![Wrong::with_help(format!("has {count} databases, more than {most}"), help)]);
    }
    let mut wrongs = Vec::new();
    // The document's tables are in no order of the file's; the later of the two is the one to correct.
    let mut by_line: Vec<&(String, Node)> = table.iter().collect();
    sort_by(&mut by_line, |(_, one), (_, other)| one.line.cmp(&other.line));
    if let Some(name) = repeated(by_line.iter().map(|(name, _)| name.as_str())) {
        let line = by_line.iter().find(|(known, _)| known == name).and_then(|(_, node)| node.line);
        let message = "is there twice: SQL takes no note of capitals".to_owned();
        let help = "give each database a name of its own".to_owned();
        wrongs.push(Wrong::with_help(message, help).below(name, line));
    }
    let read = |(name, node): &(String, Node)| {
        let read = schema_name(name).and_then(|()| file(&node.value, base));
        let path = read.map_err(|wrong| wrong.below(name, node.line))?;
        Ok((name.clone(), path))
    };
    match collected(table.iter().map(read)) {
        Ok(attached) if wrongs.is_empty() => Ok(attached),
        Ok(_) => Err(wrongs),
        Err(mut found) => {
            found.append(&mut wrongs);
            Err(found)
        }
    }
}

fn schema_name(name: &str) -> Result<(), Wrong> {
    if TAKEN_NAMES.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        let help = "give it another name, such as attach = { ref = \"sensors.db\" }".to_owned();
        return Err(Wrong::with_help("is a name that is taken".to_owned(), help));
    }
    let is_word = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if name.is_empty() || !is_word || name.starts_with(|letter: char| letter.is_ascii_digit()) {
        let help =
            "give a name of letters, digits and _, such as attach = { ref = \"sensors.db\" }".to_owned();
        return Err(Wrong::with_help("is not a name that SQL takes without quotes".to_owned(), help));
    }
    Ok(())
}

/// When a file is put aside.
pub(super) fn rotation(value: &Raw) -> Result<Rotation, Vec<Wrong>> {
    let table = table(value)?;
    let mut rotation = Rotation { size_bytes: None, age_s: None, keep: limits::ROTATION_KEEP_DEFAULT };
    let read: Result<Vec<()>, _> = collected(table.iter().map(|(key, node)| {
        rotation_key(key, &node.value, &mut rotation).map_err(|wrong| wrong.below(key, node.line))
    }));
    read?;
    if rotation.size_bytes.is_none() && rotation.age_s.is_none() {
        let help = "say when a new file is begun, such as rotate = { size = \"10 MiB\" }".to_owned();
        return Err(vec![Wrong::with_help("has neither size nor age".to_owned(), help)]);
    }
    Ok(rotation)
}

fn rotation_key(key: &str, value: &Raw, into: &mut Rotation) -> Result<(), Wrong> {
    match key {
        "size" => {
            let bytes = size(value).and_then(|bytes| {
                within(bytes, limits::ROTATION_SIZE_BYTES_MIN, usize::MAX / 2, format_size)
            })?;
            into.size_bytes = u64::try_from(bytes).ok();
        }
        "age" => {
            let age = duration(value, limits::ROTATION_AGE_MIN, limits::RUN_INTERVAL_MAX)?;
            into.age_s = Some(whole_seconds(age)?);
        }
        "keep" => {
            let keep = integer(value)
                .and_then(|keep| within(keep, 1, limits::SOURCE_FILES_MAX, |keep| keep.to_string()))?;
            into.keep = u64::try_from(keep).unwrap_or(u64::MAX);
        }
        _ => return Err(unknown(key, &["size", "age", "keep"])),
    }
    Ok(())
}

/// A key that is none of these.
pub(super) fn unknown(key: &str, known: &[&str]) -> Wrong {
    let help = match most_alike(key, known.iter().copied()) {
        Some(found) => format!("did you mean `{found}`?"),
        None => format!("remove it; known here: {}", known.join(", ")),
    };
    Wrong::with_help("is not a key that is known here".to_owned(), help)
}

/// What the fields of a record must be.
pub(super) fn fields(value: &Raw) -> Result<BTreeMap<String, Field>, Vec<Wrong>> {
    let table = table(value)?;
    if table.len() > limits::RECORD_FIELDS_MAX {
        let (count, most) = (table.len(), limits::RECORD_FIELDS_MAX);
        let help = format!("name {most} at most: only those that must be of a type");
        return Err(vec![Wrong::with_help(format!("has {count} fields, more than {most}"), help)]);
    }
    let mut wrongs = Vec::new();
    let mut fields = BTreeMap::new();
    for (name, node) in table {
        match field(node) {
            _ if name.is_empty() || name.len() > NAME_BYTES_MAX => {
                let help = format!("name the field in 1 to {NAME_BYTES_MAX} bytes");
                wrongs
                    .push(Wrong::with_help("is not a field's name".to_owned(), help).below(name, node.line));
            }
            Ok(field) => drop(fields.insert(name.clone(), field)),
            Err(found) => wrongs.extend(found.into_iter().map(|wrong| {
                let key = wrong.below.as_ref().map_or_else(|| name.clone(), |key| format!("{name}.{key}"));
                wrong.below(&key, node.line)
            })),
        }
    }
    if wrongs.is_empty() { Ok(fields) } else { Err(wrongs) }
}

fn field(node: &Node) -> Result<Field, Vec<Wrong>> {
    let table = match &node.value {
        Raw::Text(_) => {
            let kind = field_type(&node.value).map_err(|wrong| vec![wrong])?;
            return Ok(Field { kind, required: false, default: None });
        }
        Raw::Table(table) => table,
        other => {
            let message = format!("{} is neither a type nor a table", other.described());
            let help =
                "give a type, such as value = \"real\", or value = { type = \"real\", required = true }";
            return Err(vec![Wrong::with_help(message, help.to_owned())]);
        }
    };
    let mut kind = None;
    let mut default = None;
    let mut is_required = false;
    let read: Result<Vec<()>, _> = collected(table.iter().map(|(key, node)| {
        let read = match key.as_str() {
            "type" => field_type(&node.value).map(|found| kind = Some(found)),
            "required" => required(&node.value).map(|found| is_required = found),
            "default" => {
                default = Some(node);
                Ok(())
            }
            _ => Err(unknown(key, &["type", "required", "default"])),
        };
        read.map_err(|wrong| wrong.below(key, node.line))
    }));
    read?;
    let Some(kind) = kind else {
        let help = format!("give one of {}", types());
        return Err(vec![Wrong::with_help("is missing".to_owned(), help).below("type", None)]);
    };
    let mut field = Field { kind, required: is_required, default: None };
    if let Some(node) = default {
        let read =
            default_of(&field, &node.value).map_err(|wrong| vec![wrong.below("default", node.line)])?;
        field.default = Some(read);
    }
    Ok(field)
}

fn types() -> String {
    format!("\"{}\"", FieldType::ALL.map(FieldType::as_str).join("\", \""))
}

fn field_type(value: &Raw) -> Result<FieldType, Wrong> {
    let Raw::Text(word) = value else {
        let help = format!("give one of {}", types());
        return Err(Wrong::with_help(format!("{} is not a type", value.described()), help));
    };
    FieldType::from_word(word).ok_or_else(|| {
        let words = FieldType::ALL.map(FieldType::as_str);
        let help = match most_alike(word, words.into_iter()) {
            Some(found) => format!("did you mean \"{found}\"?"),
            None => format!("give one of {}", types()),
        };
        Wrong::with_help(format!("{} is not a type that is known", shown(word)), help)
    })
}

fn required(value: &Raw) -> Result<bool, Wrong> {
    match value {
        Raw::Boolean(required) => Ok(*required),
        other => {
            let message = format!("{} is neither true nor false", other.described());
            Err(Wrong::with_help(message, "give true or false, such as required = true".to_owned()))
        }
    }
}

/// A default, which must be what it stands in for.
fn default_of(field: &Field, value: &Raw) -> Result<serde_json::Value, Wrong> {
    if field.required {
        let help = "keep one of the two: a field with a default is never missing".to_owned();
        return Err(Wrong::with_help("stands beside required = true".to_owned(), help));
    }
    let json = value.to_json().map_err(|message| {
        Wrong::with_help(message, "give a number that is finite and has 64 bits".to_owned())
    })?;
    let fits = match field.kind {
        FieldType::Text => matches!(value, Raw::Text(_)),
        FieldType::Integer => json.is_i64(),
        FieldType::Real => json.is_number(),
        FieldType::Boolean => json.is_boolean(),
        FieldType::Timestamp => json.as_str().is_some_and(|text| Wall::parse_rfc3339(text).is_ok()),
        FieldType::Json => true,
    };
    if fits {
        return Ok(json);
    }
    let right = match field.kind {
        FieldType::Text => "default = \"none\"",
        FieldType::Integer => "default = 0",
        FieldType::Real => "default = 0.0",
        FieldType::Boolean => "default = false",
        FieldType::Timestamp => "default = \"2026-11-23T10:30:00Z\"",
        FieldType::Json => "default = {}",
    };
    let message = format!("{} is not of the type {}", value.described(), field.kind.as_str());
    Err(Wrong::with_help(message, format!("give such a value, as in {right}")))
}

/// Records as the author of a test writes them; dates are text.
pub(super) fn records(value: &Raw) -> Result<Vec<Record>, Vec<Wrong>> {
    items(value, |item| match (item, item.to_json()) {
        (_, Ok(serde_json::Value::Object(record))) => Ok(record),
        (_, Ok(_)) => Err(format!("{} is not a record", item.described()).into()),
        (_, Err(message)) => {
            let help = "give a number that is finite and has 64 bits".to_owned();
            Err(Wrong::with_help(message, help))
        }
    })
}

/// A time, as text or as TOML's own.
pub(super) fn time(value: &Raw) -> Result<String, Wrong> {
    let text = match value {
        Raw::Text(text) | Raw::Date(text) => text,
        other => return Err(format!("{} is not a time", other.described()).into()),
    };
    match Wall::parse_rfc3339(text) {
        Ok(_) => Ok(text.clone()),
        Err(_) => Err(format!("{} is not a time with its zone", shown(text)).into()),
    }
}

/// Whether two paths are the same as written; `..` and links may lead to the same file by other paths.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    resolved(Path::new(""), one) == resolved(Path::new(""), other)
}

/// Whether a source with this path, be it a pattern, reads this file. A `[` is taken for itself, so that no pipeline is
/// refused that is right.
pub(super) fn is_read_as(pattern: &Path, file: &Path) -> bool {
    let (Some(folder), Some(folder_of_file)) = (pattern.parent(), file.parent()) else { return false };
    let letters = |path: &Path| -> Vec<char> {
        path.file_name().unwrap_or_default().to_string_lossy().chars().collect()
    };
    same_file(folder, folder_of_file) && is_match(&letters(pattern), &letters(file))
}

fn is_match(pattern: &[char], name: &[char]) -> bool {
    let (mut in_pattern, mut in_name) = (0, 0);
    // What follows the last star, and where in the name that was tried last.
    let mut last_star = None;
    loop {
        match (pattern.get(in_pattern), name.get(in_name)) {
            (None, None) => return true,
            (Some('*'), _) => {
                in_pattern += 1;
                last_star = Some((in_pattern, in_name));
            }
            (Some(one), Some(other)) if *one == '?' || one == other => {
                in_pattern += 1;
                in_name += 1;
            }
            _ => match last_star {
                Some((behind, tried)) if tried < name.len() => {
                    (in_pattern, in_name) = (behind, tried + 1);
                    last_star = Some((behind, tried + 1));
                }
                _ => return false,
            },
        }
    }
}
