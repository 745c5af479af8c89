// Scores texts with llama.cpp, each text as one batch. Reads one text a line, as token ids; writes one line a text: for each token but
// the first, the likeliest token in its place, the log-probability of that one, and its own.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>
#include "llama.h"

static const int CONTEXT = 1024;

static void errors_only(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int main(int count, char ** arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: scores <model.gguf> < texts\n");
        return 2;
    }
    llama_log_set(errors_only, nullptr);
    ggml_backend_load_all();
    llama_model_params model_params = llama_model_default_params();
    model_params.use_extra_bufts = false;
    llama_model * model = llama_model_load_from_file(arguments[1], model_params);
    if (model == nullptr) return 1;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    llama_context * context = llama_init_from_model(model, params);
    if (context == nullptr) return 1;
    const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));

    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::vector<llama_token> ids;
        for (llama_token id; words >> id;) ids.push_back(id);
        llama_batch batch = llama_batch_init(CONTEXT, 0, 1);
        batch.n_tokens = (int) ids.size();
        for (int t = 0; t < batch.n_tokens; t++) {
            batch.token[t] = ids[t];
            batch.pos[t] = t;
            batch.n_seq_id[t] = 1;
            batch.seq_id[t][0] = 0;
            batch.logits[t] = true;
        }
        llama_memory_clear(llama_get_memory(context), true);
        if (llama_decode(context, batch) != 0) return 1;
        for (int t = 0; t + 1 < batch.n_tokens; t++) {
            const float * row = llama_get_logits_ith(context, t);
            const int top = (int) (std::max_element(row, row + vocab) - row);
            double sum = 0;
            for (int id = 0; id < vocab; id++) sum += std::exp((double) row[id] - row[top]);
            printf("%d %.7g %.7g ", top, -std::log(sum), row[ids[t + 1]] - row[top] - std::log(sum));
        }
        printf("\n");
        llama_batch_free(batch);
    }
    llama_free(context);
    llama_model_free(model);
    return 0;
}
