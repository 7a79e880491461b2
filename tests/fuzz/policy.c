/* Policies: any bytes are limits that judge a result, or an error. */
#include "verify/policy.h"

#include <math.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const verify_tensor tensors[] = {
        {.name = "blk.0.attn_q.weight", .type = SMELT_DT_Q4_0, .snr = 20, .block_snr = INFINITY},
        {.name = "token_embd.weight", .type = SMELT_DT_F32, .snr = INFINITY, .cosine = 1}};
    verify_result r = {.candidate = {.bits = 4.5},
                       .structure = {.done = true},
                       .weights = {.done = true, .n = 2, .list = tensors},
                       .logits = {.done = true, .kl = {0.1, 0.08, 0.12, 0.01}, .kl_p999 = {1, 0.5, INFINITY, 0}}};
    smelt_policy policy;
    smelt_err err = {0};
    policy_init(&policy);
    smelt_status st = policy_parse(&policy, (const char *)data, size, NULL, "policy", &err);
    if (st == SMELT_OK) st = policy_judge(&policy, &r, &err);
    fuzz_check_status(st, &err);
    if (st == SMELT_OK) fuzz_demand(r.passed == (r.breached == 0), "a verdict that its limits do not give");
    verify_free(&r);
    policy_free(&policy);
    return 0;
}
