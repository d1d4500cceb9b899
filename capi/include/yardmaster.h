/*
 * Yardmaster: load a frozen scheduling policy and let it decide.
 *
 * Made by cbindgen from capi/src; refreshed by UPDATE_EXPECT=1 cargo test -p yardmaster-capi --test header.
 *
 * Every function that can fail returns a YardmasterStatus and writes its results through pointers, which it leaves alone
 * when it fails; yardmaster_last_error then tells why. No panic crosses this interface. All functions may be called from
 * any thread. Calls on one policy wait for each other; threads that decide at the same time each load their own.
 */

#ifndef YARDMASTER_H
#define YARDMASTER_H

#include <stddef.h>
#include <stdint.h>

/*
 Rises when a caller has to be compiled anew against another header.
 */
#define YARDMASTER_ABI_VERSION 1

/*
 How a call ended.
 */
typedef enum YardmasterStatus {
  /*
   It did what it should.
   */
  YARDMASTER_STATUS_OK = 0,
  /*
   A pointer that must not be null is, or is not aligned, or a length is impossible.
   */
  YARDMASTER_STATUS_BAD_ARGUMENT = 1,
  /*
   The file cannot be read.
   */
  YARDMASTER_STATUS_UNREADABLE = 2,
  /*
   The file is no frozen policy that this library can use: damaged, of another version, or of features that this library does not compute.
   */
  YARDMASTER_STATUS_BAD_POLICY = 3,
  /*
   The snapshot is not the JSON that it should be, or contradicts itself.
   */
  YARDMASTER_STATUS_BAD_SNAPSHOT = 4,
  /*
   The arrays do not fit the policy or each other.
   */
  YARDMASTER_STATUS_BAD_OBSERVATION = 5,
  /*
   No action is legal.
   */
  YARDMASTER_STATUS_NO_ACTION = 6,
  /*
   A defect of this library. The policy of the call can only be freed.
   */
  YARDMASTER_STATUS_PANICKED = 7,
} YardmasterStatus;

/*
 A frozen policy, ready to decide.
 */
typedef struct YardmasterPolicy YardmasterPolicy;

/*
 Features of each group; their names are in the policy's card.
 */
typedef struct YardmasterWidths {
  /*
   Of the moment.
   */
  size_t global;
  /*
   Of a job.
   */
  size_t job;
  /*
   Of a node.
   */
  size_t node;
  /*
   Of a candidate.
   */
  size_t pair;
} YardmasterWidths;

/*
 What a policy sees, row after row. Lengths count array elements. Action `i` is to start candidate `i`, the last action,
 `pairs_len / 2`, is to wait.
 */
typedef struct YardmasterObservation {
  /*
   Features of the moment, before normalisation.
   */
  const float *global;
  /*
   As many as the widths say.
   */
  size_t global_len;
  /*
   Features of each job.
   */
  const float *jobs;
  /*
   Jobs times their width.
   */
  size_t jobs_len;
  /*
   Features of each node.
   */
  const float *nodes;
  /*
   Nodes times their width.
   */
  size_t nodes_len;
  /*
   Features of each candidate.
   */
  const float *pair_features;
  /*
   Candidates times their width.
   */
  size_t pair_features_len;
  /*
   Two numbers a candidate: its row in `jobs` and its row in `nodes`.
   */
  const uint32_t *pairs;
  /*
   Candidates times 2.
   */
  size_t pairs_len;
  /*
   A byte an action, 0 where it is illegal; null where all are legal.
   */
  const uint8_t *action_mask;
  /*
   Candidates plus 1; 0 where `action_mask` is null.
   */
  size_t action_mask_len;
  /*
   The action of the prior rule that the card names; -1 for none.
   */
  int64_t prior;
} YardmasterObservation;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The `YARDMASTER_ABI_VERSION` of the library; a caller compares it with that of its header.
 */
uint32_t yardmaster_abi_version(void);

/*
 Why the last call that failed on this thread did; empty before the first. UTF-8, valid until the next call on this
 thread, not to be freed.
 */
const char *yardmaster_last_error(void);

/*
 Tells how many features the policy expects.

 # Safety

 `policy` comes from a load and has not been freed; `widths` can be written.
 */
enum YardmasterStatus yardmaster_policy_widths(const struct YardmasterPolicy *policy,
                                               struct YardmasterWidths *widths);

/*
 Scores every action and chooses the legal one of the highest logit, the first of equals. `logits` may be null with
 `logits_len` 0; otherwise it takes one number an action, the lowest finite float where the action is illegal.

 # Safety

 `policy` comes from a load and has not been freed. The arrays have the lengths that are given; nobody changes them
 meanwhile. `logits` and `action` can be written.
 */
enum YardmasterStatus yardmaster_decide_flat(const struct YardmasterPolicy *policy,
                                             const struct YardmasterObservation *observation,
                                             float *logits,
                                             size_t logits_len,
                                             size_t *action);

/*
 Reads a frozen policy from a file, checks that this library computes its features, and that its golden outputs are
 reproduced. Features that it does not know are in its widths and its card, and make no difference. The path is UTF-8.

 # Safety

 `path` ends with a zero byte; `policy` can be written.
 */
enum YardmasterStatus yardmaster_policy_load(const char *path,
                                             struct YardmasterPolicy **policy);

/*
 As yardmaster_policy_load, for a file that is in memory.

 # Safety

 `bytes` has `bytes_len` bytes that nobody changes meanwhile; `policy` can be written.
 */
enum YardmasterStatus yardmaster_policy_load_bytes(const uint8_t *bytes,
                                                   size_t bytes_len,
                                                   struct YardmasterPolicy **policy);

/*
 Frees a policy; null is ignored.

 # Safety

 `policy` is null, or comes from a load, has not been freed, and no other thread uses it.
 */
void yardmaster_policy_free(struct YardmasterPolicy *policy);

/*
 What the policy says about itself, as JSON: schema id, names of the features, scenario, objective, prior rule, golden
 cases, digest. Free the text with yardmaster_string_free.

 # Safety

 `policy` comes from a load and has not been freed; `card` can be written.
 */
enum YardmasterStatus yardmaster_policy_card(const struct YardmasterPolicy *policy,
                                             char **card);

/*
 Decides on a snapshot, `{"cluster": ..., "state": ...}`, as docs/snapshot.md describes it. The decision is JSON with one
 key, such as `{"start": {"jobs": [7], "nodes": [{"node": "a", "devices": 2}], "batch": 64, "variant": 0}}` or
 `{"wait": {}}`; jobs have the ids and nodes the names of the snapshot. Free it with yardmaster_string_free. The text need
 not end with a zero byte.

 # Safety

 `policy` comes from a load and has not been freed. `snapshot` has `snapshot_len` bytes that nobody changes meanwhile;
 `decision` can be written.
 */
enum YardmasterStatus yardmaster_decide_json(const struct YardmasterPolicy *policy,
                                             const char *snapshot,
                                             size_t snapshot_len,
                                             char **decision);

/*
 Frees a text that a function of this library gave; null is ignored. The text of yardmaster_last_error is not to be freed.

 # Safety

 `text` is null, or comes from this library and has not been freed.
 */
void yardmaster_string_free(char *text);

/*
 Why the last call that failed on this thread did; empty before the first. UTF-8, valid until the next call on this
 thread, not to be freed.
 */
const char *yardmaster_last_error(void);

/*
 Reads a frozen policy from a file, checks that this library computes its features, and that its golden outputs are
 reproduced. Features that it does not know are in its widths and its card, and make no difference. The path is UTF-8.

 # Safety

 `path` ends with a zero byte; `policy` can be written.
 */
enum YardmasterStatus yardmaster_policy_load(const char *path,
                                             struct YardmasterPolicy **policy);

/*
 As yardmaster_policy_load, for a file that is in memory.

 # Safety

 `bytes` has `bytes_len` bytes that nobody changes meanwhile; `policy` can be written.
 */
enum YardmasterStatus yardmaster_policy_load_bytes(const uint8_t *bytes,
                                                   size_t bytes_len,
                                                   struct YardmasterPolicy **policy);

/*
 Frees a policy; null is ignored.

 # Safety

 `policy` is null, or comes from a load, has not been freed, and no other thread uses it.
 */
void yardmaster_policy_free(struct YardmasterPolicy *policy);

/*
 What the policy says about itself, as JSON: schema id, names of the features, scenario, objective, prior rule, golden
 cases, digest. Free the text with yardmaster_string_free.

 # Safety

 `policy` comes from a load and has not been freed; `card` can be written.
 */
enum YardmasterStatus yardmaster_policy_card(const struct YardmasterPolicy *policy,
                                             char **card);

/*
 Decides on a snapshot, `{"cluster": ..., "state": ...}`, as docs/snapshot.md describes it. The decision is JSON with one
 key, such as `{"start": {"jobs": [7], "nodes": [{"node": "a", "devices": 2}], "batch": 64, "variant": 0}}` or
 `{"wait": {}}`; jobs have the ids and nodes the names of the snapshot. Free it with yardmaster_string_free. The text need
 not end with a zero byte.

 # Safety

 `policy` comes from a load and has not been freed. `snapshot` has `snapshot_len` bytes that nobody changes meanwhile;
 `decision` can be written.
 */
enum YardmasterStatus yardmaster_decide_json(const struct YardmasterPolicy *policy,
                                             const char *snapshot,
                                             size_t snapshot_len,
                                             char **decision);

/*
 Frees a text that a function of this library gave; null is ignored. The text of yardmaster_last_error is not to be freed.

 # Safety

 `text` is null, or comes from this library and has not been freed.
 */
void yardmaster_string_free(char *text);

/*
 Tells how many features the policy expects.

 # Safety

 `policy` comes from a load and has not been freed; `widths` can be written.
 */
enum YardmasterStatus yardmaster_policy_widths(const struct YardmasterPolicy *policy,
                                               struct YardmasterWidths *widths);

/*
 Scores every action and chooses the legal one of the highest logit, the first of equals. `logits` may be null with
 `logits_len` 0; otherwise it takes one number an action, the lowest finite float where the action is illegal.

 # Safety

 `policy` comes from a load and has not been freed. The arrays have the lengths that are given; nobody changes them
 meanwhile. `logits` and `action` can be written.
 */
enum YardmasterStatus yardmaster_decide_flat(const struct YardmasterPolicy *policy,
                                             const struct YardmasterObservation *observation,
                                             float *logits,
                                             size_t logits_len,
                                             size_t *action);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* YARDMASTER_H */
