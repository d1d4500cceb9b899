//! Tests of the openb lists: good rows, each kind of fault, and what becomes of them in the simulator.

use super::*;
use crate::catalog::Catalog;
use crate::job::Truth;
use crate::units::Span;

const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\n";
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n";

fn pods(rows: &str) -> Result<(Vec<Pod>, ReadReport), TraceError> {
    parse_pods(&format!("{PODS}{rows}"), "pods.csv")
}

#[test]
fn pods_become_rigid_jobs_and_the_report_says_what_is_lost() {
    let (pods, report) = pods(
        "h,6000,1024,2,500,,LS,Failed,30,60,50\n\
         a,6000,1024,1,460,,LS,Running,0,900,100\n\
         b,6000,1024,2,1000,T4|V100M16,LS,Running,10,60,40\n\
         c,6000,1024,0,0,,LS,Running,20,60,40\n\
         d,6000,1024,1,1000,,LS,Pending,30,60,\n\
         e,6000,1024,1,1000,,LS,Failed,30,60,60\n\
         f,6000,1024,1,1000,,LS,Failed,30,60,70\n\
         g,6000,1024,1,1000,,LS,Failed,30,,50\n",
    )
    .unwrap();
    assert_eq!((report.rows, report.kept, pods.len()), (8, 7, 7));
    assert_eq!(pods[1].gpu_spec, ["T4", "V100M16"]);
    let (workload, report) = workload(&pods, report, "pods.csv").unwrap();
    let jobs: Vec<_> = workload.jobs.iter().map(|job| (job.label, job.arrival, job.gang)).collect();
    assert_eq!(jobs, [(2, Time::ZERO, 1), (3, Time::from_secs_f64(10.0), 2)]);
    assert_eq!(workload.truths[0], Truth::Duration(Span::from_secs(800)));
    assert_eq!((report.rows, report.kept), (8, 2));
    assert_eq!(report.dropped.iter().map(|(_, count)| count).sum::<usize>(), 6, "{:?}", report.dropped);
    assert_eq!(report.notes.len(), 3, "{:?}", report.notes);
}

#[test]
fn nodes_become_devices_of_known_kinds_or_processors() {
    let text = format!(
        "{NODES}n0,64000,1024,2,P100\nn1,96000,1024,8,G2\nn2,96000,1024,0,\nn3,96000,1024,8,V100M32\n"
    );
    let nodes = parse_nodes(&text, "nodes.csv").unwrap();
    let catalog = Catalog::builtin();
    let (cluster, report) = cluster(&nodes, catalog, "nodes.csv").unwrap();
    let count = |kind: &str| cluster.devices_of(catalog.kind(kind).unwrap());
    assert_eq!([count("p100"), count("processor"), count("v100"), cluster.devices()], [2, 8, 8, 18]);
    assert_eq!((report.rows, report.kept, report.dropped.len()), (4, 3, 1));
    assert!(report.notes[0].starts_with("8 GPUs G2 are not in the catalogue"), "{:?}", report.notes);
}

#[test]
fn faults_are_named() {
    let nodes = [
        ("n0,64000,1024,2,\n", "nodes.csv line 2: `model` is ``; it must be the model of the node's GPUs"),
        ("n0,64000,1024,33,T4\n", "line 2: `gpu` is `33`; it must be at most 32"),
        ("n0,-1,1024,2,T4\n", "line 2: `cpu_milli` is `-1`; it must be a whole number"),
        ("", "none of 0 rows"),
    ];
    for (rows, expected) in nodes {
        let error = parse_nodes(&format!("{NODES}{rows}"), "nodes.csv").unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let rows = [
        ("a,1,1,1,1001,,L,R,0,1,0\n", "pods.csv line 2: `gpu_milli` is `1001`; it must be at most 1000"),
        ("a,1,1,x,1000,,L,R,0,1,0\n", "line 2: `num_gpu` is `x`"),
        ("a,1,1,1,1000,,L,R,-5,1,0\n", "line 2: `creation_time` is `-5`; it must be a number of seconds"),
        ("a,1,1,1,1000,,L,R,99999999999,1,0\n", "`creation_time` is `99999999999`"),
        ("a,1,1,1,1000,,L,R,0,1,NaN\n", "`scheduled_time` is `NaN`"),
        ("a,1,1,1,0,,L,R,0,1,0\n", "none of 1 rows"),
        ("a,1,1\n", "pods.csv line 2: "),
    ];
    for (rows, expected) in rows {
        let error = pods(rows).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let (none, report) = pods("a,1,1,0,0,,L,R,0,1,0\n").unwrap();
    assert!(workload(&none, report, "pods.csv").unwrap_err().to_string().contains("none of 1 rows"));
}
