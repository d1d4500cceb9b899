/*
 * Loads a frozen policy and lets it decide: on a JSON snapshot, and on flat arrays.
 *
 *   cc -I capi/include capi/examples/decide.c target/release/libyardmaster_capi.a -lm -lpthread -ldl -o decide
 *   ./decide checkpoints/pool12.safetensors snapshot.json
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yardmaster.h"

/* Ends the program with the library's own words. */
static void must(YardmasterStatus status, const char *what) {
    if (status != YARDMASTER_STATUS_OK) {
        fprintf(stderr, "%s: status %d: %s\n", what, (int)status, yardmaster_last_error());
        exit(1);
    }
}

/* A whole file; the caller frees it. */
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    *length = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*length + 1);
    if (bytes == NULL || fread(bytes, 1, *length, file) != *length) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

/* A cluster and its queue as JSON in, a decision as JSON out. */
static void decide_on_snapshot(const YardmasterPolicy *policy, const char *path) {
    size_t length = 0;
    char *snapshot = read_file(path, &length);
    char *decision = NULL;
    must(yardmaster_decide_json(policy, snapshot, length, &decision), path);
    printf("decision %s\n", decision);
    yardmaster_string_free(decision);
    free(snapshot);
}

/* One job, two groups of nodes, both candidates legal, the prior rule for the second: features that the caller has made. */
static void decide_on_arrays(const YardmasterPolicy *policy) {
    YardmasterWidths widths;
    must(yardmaster_policy_widths(policy, &widths), "widths");
    size_t most = widths.global + widths.job + 2 * widths.node + 2 * widths.pair;
    float *zeros = calloc(most, sizeof *zeros);
    uint32_t pairs[4] = {0, 0, 0, 1};
    uint8_t legal[3] = {1, 1, 0};
    YardmasterObservation observation = {
        .global = zeros, .global_len = widths.global,
        .jobs = zeros, .jobs_len = widths.job,
        .nodes = zeros, .nodes_len = 2 * widths.node,
        .pair_features = zeros, .pair_features_len = 2 * widths.pair,
        .pairs = pairs, .pairs_len = 4,
        .action_mask = legal, .action_mask_len = 3,
        .prior = 1,
    };
    float logits[3];
    size_t action = 0;
    must(yardmaster_decide_flat(policy, &observation, logits, 3, &action), "arrays");
    printf("action %zu of logits %.9g %.9g %.9g\n", action, logits[0], logits[1], logits[2]);
    free(zeros);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s POLICY.safetensors SNAPSHOT.json\n", arguments[0]);
        return 2;
    }
    if (yardmaster_abi_version() != YARDMASTER_ABI_VERSION) {
        fprintf(stderr, "the library is of another version than the header\n");
        return 1;
    }
    YardmasterPolicy *policy = NULL;
    must(yardmaster_policy_load(arguments[1], &policy), arguments[1]);
    decide_on_snapshot(policy, arguments[2]);
    decide_on_arrays(policy);
    yardmaster_policy_free(policy);
    return 0;
}
