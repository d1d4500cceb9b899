//! Changes are made: each against a state that was read after all of them were decided.

use super::adapter::{Adapter, Log};
use super::client::Slurm;
use super::error::SlurmError;
use super::event::{Action, Event};
use super::jobs::{JobKey, SlurmJob};
use super::plan::{Plan, still_holds};
use super::site::{State, TAG};

impl<S: Slurm> Adapter<S> {
    /// Makes the changes, each against a state that was read after all were decided.
    pub(super) fn carry_out(
        &mut self,
        state: &State,
        plans: Vec<Plan>,
        log: Log<'_>,
    ) -> Result<(), SlurmError> {
        if self.settings.dry_run {
            for plan in plans {
                let key = state.jobs[plan.job].key;
                self.say(key, &plan.action.to_string(), log, |key, _| Event::Would(key, plan.action.clone()));
            }
            return Ok(());
        }
        let fresh = self.read(log)?;
        let mut site = self.site(&fresh);
        for plan in plans {
            if self.check_disabled(log) {
                return Ok(());
            }
            let job = &state.jobs[plan.job];
            if let Err(why) = still_holds(job, &plan, &fresh, &mut site) {
                log(Event::Changed(job.key, why));
                continue;
            }
            self.act(job, plan.action, log)?;
        }
        Ok(())
    }

    /// Makes one change. Slurm's refusal leaves the job as it is; an error means that Slurm does not answer.
    fn act(&mut self, job: &SlurmJob, action: Action, log: Log<'_>) -> Result<(), SlurmError> {
        let key = job.key;
        let result = match &action {
            Action::Place { nodes, remark, priority } => {
                let list = nodes.join(",");
                self.update(key, &[("ReqNodeList", &list), ("AdminComment", remark)])
                    .and_then(|()| self.release(key))
                    .and_then(|()| {
                        priority.map_or(Ok(()), |priority| {
                            self.update(key, &[("Priority", &priority.to_string())])
                        })
                    })
            }
            Action::HandOver { remark } => {
                // Nodes of an earlier attempt of ours, of which only the release is missing.
                let ours = job.admin_comment.contains(TAG) && !job.request.required_nodes.is_empty();
                let nodes = if ours { &[("ReqNodeList", "")][..] } else { &[] };
                let changes = [&[("AdminComment", remark.as_str())][..], nodes].concat();
                self.update(key, &changes).and_then(|()| self.release(key))
            }
            Action::Free { remark } => self.update(key, &[("ReqNodeList", ""), ("AdminComment", remark)]),
            Action::Note { remark } => self.update(key, &[("AdminComment", remark)]),
        };
        match result {
            Ok(()) => log(Event::Did(key, action)),
            Err(error @ SlurmError::Failed { .. }) if !error.is_outage() => {
                self.say(key, &error.to_string(), log, Event::Failed);
            }
            Err(error) => {
                log(Event::Failed(key, error.to_string()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn update(&mut self, key: JobKey, changes: &[(&str, &str)]) -> Result<(), SlurmError> {
        let job = format!("JobId={key}");
        let changes: Vec<String> = changes.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let arguments: Vec<&str> =
            ["update", &job].into_iter().chain(changes.iter().map(String::as_str)).collect();
        self.slurm.run("scontrol", &arguments).map(|_| ())
    }

    fn release(&mut self, key: JobKey) -> Result<(), SlurmError> {
        self.slurm.run("scontrol", &["release", &key.to_string()]).map(|_| ())
    }
}
