/* Whether a program will load a file: rules about programs, each with where it comes from. */
#ifndef SMELT_TOOLS_CHECK_H
#define SMELT_TOOLS_CHECK_H

#include "base/json.h"
#include "ir/format.h"

/* Programs, as bits. SMELT_TARGET(id, name). */
#define SMELT_TARGETS(X) \
    X(LLAMA_CPP, "llama.cpp") \
    X(IK_LLAMA_CPP, "ik_llama.cpp") \
    X(VLLM, "vllm") \
    X(SGLANG, "sglang") \
    X(TRANSFORMERS, "transformers") \
    X(GPTQMODEL, "gptqmodel") \
    X(EXLLAMA, "exllama")

enum {
#define X(id, name) TARGET_INDEX_##id,
    SMELT_TARGETS(X)
#undef X
        TARGET_COUNT
};

/* What the rules ask about. */
typedef struct check_facts {
    smelt_model model; /* as the reader gives it; `status` says whether it did */
    smelt_status status;
    smelt_err refusal;
    smelt_model weights; /* of a directory: the tensors of all weight files by their own names */
    smelt_status weights_status;
    smelt_err weights_refusal;
    const char *path;
    bool dir, gguf, imatrix, legacy_imatrix;
    bool bin;               /* a directory whose weights are PyTorch files */
    json_t *config, *apart; /* config.json; quantize_config.json */
    const json_t *quant;    /* quantization_config, wherever it is */
    const char *cls, *type; /* architectures[0], model_type; NULL: not said */
    const char *arch;       /* GGUF's general.architecture; NULL: not said */
    const char *method;     /* quant_method; NULL: not quantized */
    int64_t bits, group;
} check_facts;

/* Opens a file or directory for the rules. NEW: check_facts_free, also after an error. Fails if it is of no known format. */
smelt_status check_facts_get(const smelt_ctx *ctx, const char *path, check_facts *facts, smelt_err *err);
void check_facts_free(check_facts *facts);

typedef struct check_reason {
    const char *rule, *source;
    bool note; /* it loads the file, and computes something else with it */
    char text[512];
} check_reason;
enum { CHECK_REASONS = 32 };

const char *check_target_name(int target);
/* Why the program would not load it, and notes. Returns how many there are of both; *failed is how many are no notes. */
size_t check_target(const check_facts *facts, int target, check_reason reasons[CHECK_REASONS], size_t *failed);

#endif
