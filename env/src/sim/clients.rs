//! A closed loop of clients: an answer brings the next request.

use std::sync::Arc;

use super::Simulator;

impl Simulator {
    /// A client has been answered, and sends its next request when it has thought. All clients think equally long, so
    /// requests are sent in the order of the answers.
    ///
    /// The moment goes into a world of this simulation's own: the one that others share stays as it was.
    pub(super) fn answer(&mut self) {
        let Some(clients) = self.world.workload.clients else { return };
        let world = Arc::make_mut(&mut self.world);
        let Some(job) = world.workload.jobs.get_mut(self.sent) else { return };
        job.arrival = self.now + clients.think;
        job.deadline = clients.deadline.map(|span| job.arrival + span);
        self.sent += 1;
    }
}
