//! What is to be done with a job, why, and whether that still makes sense.

use super::estimate::Estimate;
use super::event::Action;
use super::jobs::{Ask, SlurmJob};
use super::moment::Start;
use super::site::{self, Site, State, TAG};

/// A change that is to be made, with the job as it was when that was decided.
pub(super) struct Plan {
    pub(super) job: usize,
    pub(super) action: Action,
    pub(super) start: Option<Start>,
}

/// Whether the adapter can place the job at all; why not, else.
pub(super) fn placeable(job: &SlurmJob, site: &Site, mut estimate: Estimate) -> Result<Estimate, String> {
    let request = &job.request;
    match request.gpus {
        Ask::Nothing => return Err("it asks for no GPU".into()),
        Ask::Other => return Err("it asks for GPUs by task or socket, or for several types".into()),
        Ask::PerNode(_) | Ask::PerJob(_) => {}
    }
    if !request.required_nodes.is_empty() && !job.admin_comment.contains(TAG) {
        return Err("its owner has chosen its nodes".into());
    }
    if !request.reservation.is_empty() {
        return Err(format!("it wants the reservation {}", request.reservation));
    }
    if request.features.contains(['|', '[', '(', '*', '!']) {
        return Err(format!("its constraint {:?} is more than a list of features", request.features));
    }
    estimate.seconds.retain(|(kind, _)| site.could_hold(request, *kind));
    if estimate.seconds.is_empty() {
        return Err("no nodes of one kind that it runs on have what it asks for".into());
    }
    Ok(estimate)
}

pub(super) fn hand_over(state: &State, job: usize, why: &str) -> Plan {
    let remark = remark(&state.jobs[job], &format!("left to Slurm: {why}"));
    Plan { job, action: Action::HandOver { remark }, start: None }
}

/// `None` if the job says so already.
pub(super) fn leave(state: &State, job: usize, why: &str) -> Option<Plan> {
    let remark = remark(&state.jobs[job], &format!("left held: {why}"));
    let is_news = remark != state.jobs[job].admin_comment;
    is_news.then_some(Plan { job, action: Action::Note { remark }, start: None })
}

/// The AdminComment of a job with our words at its end, in place of those of ours that are there.
pub(super) fn remark(job: &SlurmJob, words: &str) -> String {
    // What ends a value, or a line of a log, is no part of a remark.
    let words: String = words.chars().map(|c| if c.is_control() || c == '"' { '\'' } else { c }).collect();
    let others = job.admin_comment.split(TAG).next().unwrap_or_default().trim_end_matches([' ', ';']);
    if others.is_empty() { format!("{TAG} {words}") } else { format!("{others}; {TAG} {words}") }
}

/// Whether a plan still makes sense in a state that was read after it was made; books its place if so.
pub(super) fn still_holds(job: &SlurmJob, plan: &Plan, fresh: &State, site: &mut Site) -> Result<(), String> {
    let now = site::find(&fresh.jobs, job.key).ok_or("it is gone")?;
    if now.phase != job.phase {
        return Err(format!("it was {:?} and is {:?}", job.phase, now.phase));
    }
    if now.request != job.request {
        return Err("its owner asks for something else".into());
    }
    let Some(start) = &plan.start else { return Ok(()) };
    let Action::Place { nodes, .. } = &plan.action else { return Ok(()) };
    // Places may have other numbers by now.
    let mut wanted = Vec::new();
    for (name, &(_, gpus)) in nodes.iter().zip(&start.nodes) {
        let at = site.places.iter().position(|place| place.name == *name);
        wanted.push((at.ok_or_else(|| format!("node {name} is gone"))?, gpus));
    }
    if site.fit(&now.request, start.kind, &wanted).as_ref() != Some(&wanted) {
        return Err(format!("{} has no longer room for it", nodes.join(",")));
    }
    site.take(&now.request, &wanted);
    Ok(())
}
