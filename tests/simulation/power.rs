//! What the power cut makes of the database, and what must hold then.

use super::medium::Losses;
use super::random::Random;
use super::world::World;

impl World {
    /// Makes the database's files what the disk kept of them. Nobody has them open any more.
    pub(crate) fn restore_database(&mut self) {
        self.book().look_away();
        let mut random = Random::new(self.random.next());
        let mut losses = Losses::default();
        self.supply.restore(&mut random, &mut losses);
        self.note(format!("of the database: {losses:?}"));
    }
}
