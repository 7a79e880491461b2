/* Model families as data: how each spells its hyperparameters and tensors. One file a family, one line in archs.def. */
#ifndef SMELT_ARCH_ARCH_H
#define SMELT_ARCH_ARCH_H

#include "base/json.h"
#include "ir/ctx.h"
#include "ir/transform.h"

typedef enum smelt_role {
    SMELT_R_NONE,
#define SMELT_ROLE(id, stem) SMELT_R_##id,
#include "arch/roles.def"
#undef SMELT_ROLE
    SMELT_R_COUNT
} smelt_role;

typedef enum smelt_part { SMELT_PART_NONE, SMELT_PART_WEIGHT, SMELT_PART_BIAS } smelt_part;

typedef enum smelt_hp {
#define SMELT_HPARAM(id, kind, key) SMELT_HP_##id,
#include "arch/hparams.def"
#undef SMELT_HPARAM
    SMELT_HP_COUNT
} smelt_hp;

/* How config.json gives one hyperparameter. */
typedef struct smelt_hp_rule {
    smelt_hp hp;
    const char *keys; /* names in config.json, '|' between spellings, '.' into objects; the first is what writers use */
    /* Where none is there: required, or `fallback`, or other hyperparameters' values. */
    enum {
        HP_REQUIRED,
        HP_OPTIONAL,
        HP_DEFAULT,
        HP_NULLABLE, /* the same, but null stays unset, and so does what a GGUF file cannot say */
        HP_SAME_AS,
        HP_RATIO,
        HP_TIMES
    } absent;
    double fallback; /* HP_DEFAULT, HP_NULLABLE; the factor of HP_TIMES */
    smelt_hp a, b;   /* HP_SAME_AS, HP_TIMES: a; HP_RATIO: a / b, which must divide */
} smelt_hp_rule;

/* How tensors of a Hugging Face checkpoint become tensors of the IR: rows of the table in xform.c, each with its inverse. */
typedef enum smelt_x {
    X_NONE,             /* one to one */
    X_QKV_ROWS,         /* one matrix: all queries, all keys, all values; to the rule's role and the two after it */
    X_QKV_GROUPS,       /* one matrix of KV_HEADS groups: queries, a key, a value; likewise */
    X_PAIR_ROWS,        /* rows of two tensors in turn (gpt-oss: gate, up); to the rule's role and the one after it */
    X_PAIR_COLS,        /* the same for biases: [experts, 2 n] */
    X_PAIR_HALVES,      /* the two one after the other in each expert */
    X_TRANSPOSE,        /* [.., in, out] */
    X_TRANSPOSE_PAIR,   /* both */
    X_MXFP4,            /* NAME_blocks and NAME_scales */
    X_MXFP4_PAIR,       /* the same with rows in turn */
    X_MXFP4_PARTS,      /* NAME.blocks and NAME.scales */
    X_MXFP4_PARTS_PAIR, /* the same with rows in turn */
    X_EXPERTS,          /* one tensor an expert, %E in the name; stacked */
    X_COUNT
} smelt_x;

/* How the GGUF side differs from the IR, which keeps Hugging Face's order. */
typedef enum smelt_gguf_side { GGUF_SAME, GGUF_ROPE_Q, GGUF_ROPE_K } smelt_gguf_side;

enum smelt_name_flags {
    NAME_OPTIONAL = 1, /* may be absent */
    NAME_UNTIED = 2,   /* absent when embeddings are tied */
    NAME_DROP = 4,     /* a buffer, not a weight: skipped */
    NAME_NO_HF = 8,    /* exists in GGUF only (computed) */
    NAME_BARE = 16,    /* the name in the file is the whole stem, without .weight */
    NAME_BIAS = 32,    /* a NAME_BARE that is a bias */
    NAME_FIRST = 64,   /* llama.cpp's converter writes it before all others */
    NAME_ALT = 128,    /* one of several layouts for the same roles; a checkpoint has one of them */
};

/* One kind of tensor. Shapes are hyperparameter products, so that every wrong shape is found before data moves. */
typedef struct smelt_name_rule {
    smelt_role role;
    const char *hf; /* stem of the name, %L for the layer, %E for the expert; the family's prefix may be absent in files */
    unsigned flags;
    smelt_gguf_side gguf;
    const char *shape; /* of the weight in the checkpoint, such as "HEADS*HEAD_DIM,EMBD" or "EXPERTS,EMBD/32,16" */
    smelt_hp bias_if;  /* hyperparameter that says whether there is a bias; SMELT_HP_COUNT: there is none */
    smelt_x x;
    smelt_hp
        only_if; /* if not 0 (the number of layers, which always is): the hyperparameter that says whether the tensor exists; SMELT_HP_NOT + h: exists if h is 0 */
} smelt_name_rule;

/* Activations, by the names that config.json has for them. */
typedef enum smelt_act { ACT_UNKNOWN, ACT_SILU, ACT_GELU, ACT_GELU_TANH, ACT_GELU_SIGMOID, ACT_RELU, ACT_COUNT } smelt_act;

/* What a family's block computes beyond what its tensors and hyperparameters say. A part whose tensor is absent is absent: biases,
 * gates, experts, second norms, norms of queries and keys, sinks, learned positions, a head of its own. Zero is LLaMA. */
typedef struct smelt_block {
    enum { NORM_RMS, NORM_LAYER } norm;
    enum { TURN_HALVES, TURN_PAIRS, TURN_NONE } turn; /* RoPE, where there is no ALiBi: of i and i + n/2, of 2i and 2i + 1 */
    bool parallel;                                    /* feed-forward beside the attention, where PARALLEL says nothing */
    bool unscaled;                                    /* scores are products as they are */
    bool coarse_alibi;                                /* ALiBi in bfloat16 and before the scaling of scores */
    bool route_last;                   /* softmax over the experts that are used, after choosing them; otherwise over all, before */
    bool norm_topk;                    /* where NORM_TOPK says nothing */
    double swiglu_alpha, swiglu_limit; /* not 0: (up + 1) * gate * sigmoid(alpha * gate), both clamped to the limit */
    bool yarn_exact;                   /* where YARN_TRUNCATE says nothing */
    smelt_hp window;                   /* hyperparameter with the size of windows; 0 (the number of layers): there are none */
    enum { WINDOWS_ALL, WINDOWS_EVEN, WINDOWS_ODD, WINDOWS_FROM, WINDOWS_EVEN_BELOW } windows; /* layers; of LOCAL_LAYERS */
} smelt_block;

/* Added to a hyperparameter in only_if. */
enum { SMELT_HP_NOT = 1000 };

typedef struct smelt_arch {
    const char *name;                 /* GGUF's general.architecture */
    const char *gguf_mark;            /* where an earlier family has the same name: a key that only this one's files have */
    const char *stands_for;           /* published models, for people */
    const char *hf_classes;           /* config.json's architectures[0], '|' between; the first is what writers use */
    const char *marks;                /* where hf_classes is empty: members, '|' between, that a config.json without a class has */
    const struct smelt_arch *becomes; /* a layout that is only read: the family as which the model goes on; otherwise NULL */
    const char *model_type;           /* config.json's model_type */
    const char *prefix;               /* beginning of Hugging Face names that older or bare checkpoints leave out; may be NULL */
    const smelt_hp_rule *hp;          /* ends with keys NULL */
    const smelt_name_rule *names;     /* ends with hf NULL */
    const char *config_extra;         /* JSON members that a written config.json needs besides, without braces */
    bool bf16;                        /* checkpoints are bfloat16, and that is what block types become, instead of float16 */
    bool gguf_qkv;                    /* GGUF stores q, k and v in one tensor, one after the other */
    const char *layout;               /* value of tensor_data_layout, where the family has that key */
    smelt_block block;
    const smelt_hp *gguf_keys; /* order of the keys, ends with SMELT_HP_COUNT; NULL: that of hparams.def */
    /* What rules cannot say: derives hyperparameters from others and from the configuration (NULL when reading GGUF). */
    smelt_status (*derive)(const json_t *config, smelt_hparams *hp, smelt_err *err);
    /* Members of config.json that follow from hyperparameters in ways that rules cannot say. May be NULL. */
    int (*to_config)(const smelt_hparams *hp, json_t *config);
} smelt_arch;

/* BORROWED; NULL if no family has it. `meta`, if not NULL, tells families of one name apart. */
const smelt_arch *arch_by_name(const char *name, size_t len, const smelt_meta *meta);
const smelt_arch *arch_by_class(const char *hf_class);
/* The family of a config.json: of its class (of several that have the class, the one with its model_type); where it names no class,
 * by its members or its model_type. BORROWED; NULL if none. */
const smelt_arch *arch_of_config(const json_t *config);
/* Names of all families for messages: "llama, …". */
const char *arch_list(smelt_arena *arena);

const char *role_stem(smelt_role role);
/* Canonical name of a tensor ("blk.3.attn_q.weight") in the arena; NULL when out of memory. */
char *role_name(smelt_arena *arena, smelt_role role, smelt_part part, int layer);
/* ".weight", ".bias" or "". */
const char *part_suffix(smelt_part part);
/* The part that a name ends in, and the length of the rest; the whole name for SMELT_PART_NONE. */
smelt_part name_part(const char *name, size_t *stem_len);
/* Whether a stem fits a pattern with %L for the layer and %E for the expert; they are -1 where there is none. */
bool name_match(const char *pattern, const char *stem, size_t len, int *layer, int *expert);
/* The layer in any name that starts as canonical layer names do ("blk.7.…"); -1 if there is none. */
int name_layer(const char *name);
/* Such a name with the number of another layer, in the arena; NULL when out of memory. */
char *name_move(smelt_arena *arena, const char *name, int layer);
/* Whether a name ends as those of norms do, also in families that are not known. */
bool name_is_norm(const char *name);
/* The pattern with its numbers and a suffix, in the arena; NULL when out of memory. */
char *name_fill(smelt_arena *arena, const char *pattern, int layer, int expert, const char *suffix);
/* The role, part and layer that a canonical name means; false if none. */
bool role_parse(const char *name, smelt_role *role, smelt_part *part, int *layer);

/* ROPE_DIM from ROTARY_PCT (`fallback` if the configuration has none), or the other way around for a GGUF file; and ROPE_BASE
 * counted as unsaid where it is 10000, which every reader assumes. For the derive of families with partial rotary. */
smelt_status derive_rotary(smelt_hparams *hp, double fallback, smelt_err *err);

/* The activation that a name of config.json means ("gelu_new"); ACT_UNKNOWN if none. The name that configurations get. */
smelt_act act_by_name(const char *name);
const char *act_name(smelt_act act);
/* How many positions a token of the layer sees, itself included; 0: all of them. */
uint64_t arch_window(const smelt_model *model, int layer);
/* The turn of dimension pair i from one position to the next, in radians, into out[n / 2] for RoPE on n dimensions, for texts of
 * `length` positions (which only dynamic scaling asks for); *scale gets the factor on sine and cosine. Formulas: transformers'
 * modeling_rope_utils.py, in its float32. */
void arch_rope(const smelt_model *model, uint64_t length, float *out, float *scale);
/* Whether the turns depend on the text's length beyond `length` positions. */
bool arch_rope_grows(const smelt_model *model, uint64_t length);

/* Warns of everything in a model of a family that its GGUF file cannot say, so that readers will compute something else. */
void arch_gguf_losses(const smelt_ctx *ctx, const smelt_model *model);

/* Whether GGUF has a key for a hyperparameter. */
bool hp_in_gguf(smelt_hp id);
/* Whether a hyperparameter is set and belongs to the RoPE scaling in use, if to any. */
bool hp_in_use(const smelt_hparams *hp, smelt_hp id);
/* What it is called ("attention.head_count"), and its value ("8", "silu"), in the arena; NULL when out of memory. */
char *hp_name(smelt_arena *arena, smelt_hp id);
char *hp_text(smelt_arena *arena, const smelt_hparams *hp, smelt_hp id);
static inline uint64_t hp_u64(const smelt_hparams *hp, smelt_hp id) { return hp->set[id] ? (uint64_t)hp->v[id] : 0; }

/* Turns a model with Hugging Face names and a config.json into a canonical one. All missing, unexpected and wrongly shaped
 * tensors are listed in one E_MISMATCH; unreadable or unknown configurations are E_CORRUPT or E_UNSUPPORTED. */
smelt_status arch_from_hf(const smelt_ctx *ctx, smelt_model *model, smelt_err *err);
/* The same for a model with GGUF names and keys; a family that is not known leaves the model as it is (arch NULL). */
smelt_status arch_from_gguf(const smelt_ctx *ctx, smelt_model *model, smelt_err *err);
/* Adds the model's tensors to `out` as a GGUF file stores them: names, fused q, k and v, RoPE pairs, the converter's order.
 * Without a family the tensors as they are. For a format's project. */
smelt_status arch_project_gguf(const smelt_model *model, smelt_model *out, smelt_err *err);
/* Adds the model's tensors to `out` under their Hugging Face names, in the model's order; what exists in GGUF only is left out.
 * Block types that the checkpoint's layout cannot hold, and parts of one tensor that differ in type, are decoded. Without a family
 * the names are the tensors' own. For a format's project. */
smelt_status arch_project_hf(const smelt_ctx *ctx, const smelt_model *model, smelt_model *out, smelt_err *err);
/* Takes the hyperparameter that a key of the architecture sets to a u32; other keys change nothing. */
void arch_take_key(const smelt_arch *arch, const smelt_kv *kv, smelt_hparams *hp);
/* Appends the architecture's GGUF keys, general.file_type among them, in llama.cpp's order. */
smelt_status arch_gguf_keys(const smelt_model *model, int file_type, smelt_meta *out, smelt_err *err);
/* A config.json for the model: the source's own where there is one, else made from the hyperparameters. NEW. `dtype` is the
 * torch name of the stored weights ("bfloat16"). */
smelt_status arch_config(const smelt_model *model, const char *dtype, json_t **out, smelt_err *err);

#endif
