//! The flows folder and the configuration file: what their author makes of them, and reloads.

use std::time::Duration;

use heartbeat_runtime::flow::{Definition, FlowName, Pipeline};
use heartbeat_runtime::runtime::{Event, Reload, Settings};

use super::alerts;
use super::flows::definition;
use super::random::Random;
use super::world::World;

/// Flows that there may be in the folder.
const FLOWS_MAX: usize = 6;

/// What a daemon that starts, or reloads, finds.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Files that are right.
    pub(crate) definitions: Vec<Definition>,
    /// Files that are not; whether the name of their flow can still be told.
    broken: Vec<(Definition, bool)>,
    pub(crate) settings: Settings,
    /// The longest that any run ever had between TERM and KILL.
    pub(crate) longest_grace: Duration,
    /// How many flows were ever thought of.
    made: usize,
}

impl Folder {
    pub(crate) fn new(definitions: Vec<Definition>, settings: Settings) -> Self {
        let made = definitions.len();
        Self { definitions, broken: Vec::new(), settings, longest_grace: settings.kill_grace, made }
    }

    /// The flows whose files are broken, as the daemon is told of them.
    pub(crate) fn bad(&self) -> Vec<Option<FlowName>> {
        self.broken.iter().map(|(flow, is_told)| is_told.then(|| flow.name.clone())).collect()
    }

    /// Whether a flow has a file.
    pub(crate) fn has_file_of(&self, flow: &str) -> bool {
        let broken = self.broken.iter().map(|(flow, _)| flow);
        self.definitions.iter().chain(broken).any(|definition| definition.name.as_str() == flow)
    }

    /// Somebody edits it; what, in words.
    fn change(&mut self, random: &mut Random) -> &'static str {
        let last = self.definitions.len();
        match random.below(10) {
            0..3 if last > 0 => {
                let at = random.index(last);
                let new = self.changed(at, random);
                self.definitions[at] = new;
                "flow files changed"
            }
            3 if last > 1 => {
                let at = random.index(last);
                if is_pipeline(&self.definitions[at]) {
                    return "flow files left as they are";
                }
                self.definitions.remove(at);
                "flow files removed"
            }
            4 if last < FLOWS_MAX => {
                let new = self.new_command(random);
                self.definitions.push(new);
                "flow files added"
            }
            5 if last > 0 => {
                let at = random.index(last);
                if is_pipeline(&self.definitions[at]) {
                    return "flow files left as they are";
                }
                self.definitions[at].name = self.next_name();
                "flows renamed"
            }
            6 if last > 0 => {
                let broken = self.definitions.remove(random.index(last));
                self.broken.push((broken, random.one_in(2)));
                "flow files broken"
            }
            7 => {
                self.definitions.extend(self.broken.drain(..).map(|(definition, _)| definition));
                "flow files repaired"
            }
            8 if last > 0 => {
                let at = random.index(last);
                self.definitions[at].enabled = !self.definitions[at].enabled;
                "flows enabled or disabled in their files"
            }
            _ => "flow files left as they are",
        }
    }

    /// A flow with another definition; a pipeline goes on with the files that it has.
    fn changed(&mut self, at: usize, random: &mut Random) -> Definition {
        let before = &self.definitions[at];
        let mut new = definition(self.made, random);
        new.name = before.name.clone();
        if is_pipeline(before) || is_pipeline(&new) {
            new.configuration.kind.clone_from(&before.configuration.kind);
            new.configuration.settings.clone_from(&before.configuration.settings);
        }
        new
    }

    fn next_name(&mut self) -> FlowName {
        self.made += 1;
        FlowName::new(format!("flow-{}", self.made)).expect("a name")
    }

    /// One that has no files of its own.
    pub(crate) fn new_command(&mut self, random: &mut Random) -> Definition {
        let name = self.next_name();
        loop {
            let new = Definition { name: name.clone(), ..definition(self.made, random) };
            if !is_pipeline(&new) {
                return new;
            }
        }
    }

    fn change_settings(&mut self, random: &mut Random) {
        let settings = &mut self.settings;
        settings.max_concurrent_runs = 1 + random.index(4);
        settings.max_claims_per_heartbeat = 1 + random.index(5);
        if random.one_in(4) {
            settings.kill_grace = Duration::from_millis(random.pick(&[0, 100, 500, 1_000]));
            self.longest_grace = self.longest_grace.max(settings.kill_grace);
        }
        if random.one_in(4) {
            settings.history.runs_per_flow = random.pick(&[200, 4, 9]);
        }
        if random.one_in(8) {
            let every = random.pick(&[None, Some(700), Some(3_000)]);
            settings.internal_heartbeat = every.map(Duration::from_millis);
        }
    }

    /// Every file is right, and every flow is to run.
    pub(crate) fn put_in_order(&mut self) {
        self.definitions.extend(self.broken.drain(..).map(|(definition, _)| definition));
        self.definitions.iter_mut().for_each(|definition| definition.enabled = true);
    }
}

fn is_pipeline(definition: &Definition) -> bool {
    definition.configuration.kind == Pipeline::KIND
}

impl World {
    /// Files are edited, or not, and the daemon is told to read them. Twice in a round the shell does so once.
    pub(crate) fn reload(&mut self) {
        if self.operators.reloading.is_some() {
            return;
        }
        if !self.calm {
            let what = self.folder.change(&mut self.random);
            self.inject(what);
            self.note(what.to_owned());
            if self.random.one_in(2) {
                self.folder.change_settings(&mut self.random);
            }
            // The shell reads the configuration, and finds that it is wrong: then nothing happens.
            if self.random.one_in(6) {
                self.inject("reloads of a broken configuration");
                return;
            }
        }
        self.inject("reloads");
        let settings = self.folder.settings;
        self.note(format!("reload: {} at once", settings.max_concurrent_runs));
        self.operators.reloading = Some(settings);
        // Until the commit both may be true.
        self.book().allow(&settings);
        self.book().flows_may_change = true;
        let reload = Reload {
            settings,
            alerts: Box::new(alerts::settings()),
            definitions: self.folder.definitions.clone(),
            bad: self.folder.bad(),
        };
        self.tell(Event::Reload(Box::new(reload)));
    }

    pub(crate) fn reloaded(&mut self, came_into_force: bool) {
        let settings = self.operators.reloading.take().expect("a reload ends in its round");
        assert!(came_into_force || self.holder.is_some(), "a reload fails without a reason");
        if !came_into_force {
            self.inject("reloads that could not be stored");
            return;
        }
        self.note("reloaded".to_owned());
        if settings.internal_heartbeat != self.settings.internal_heartbeat {
            self.own_beats.are_excused(self.elapsed);
        }
        self.grace_has_changed |= settings.kill_grace != self.settings.kill_grace;
        self.has_beaten |= settings.internal_heartbeat.is_some();
        self.settings = settings;
        self.judge_folder();
    }

    /// The flows on record are those of the folder, but for those that were added by command.
    pub(crate) fn judge_folder(&mut self) {
        let on_record = self.book.as_ref().expect("the daemon was started").definitions();
        let folder = &self.folder;
        for file in &folder.definitions {
            let Some(row) = on_record.get(file.name.as_str()) else {
                panic!("{} has a file and is not on record", file.name)
            };
            if row.is_of_file {
                let same = row.enabled == file.enabled
                    && row.interval_s == file.run_interval_s
                    && row.configuration == file.configuration;
                assert!(same, "{} is on record as {row:?}, and its file says {file:?}", file.name);
            }
        }
        let all_are_told = folder
            .broken
            .iter()
            .all(|(flow, is_told)| *is_told && on_record.contains_key(flow.name.as_str()));
        for (name, row) in on_record.iter().filter(|(_, row)| row.is_of_file) {
            let is_wrong = row.enabled && all_are_told && !folder.has_file_of(name);
            assert!(!is_wrong, "{name} has no file any more and is enabled");
        }
    }
}
