/* The choice of an instruction set, and the texts of status.c. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deepc.h"
#include "isa.h"

static void set_environment(const char *value) {
#if defined(_WIN32)
    _putenv_s("DEEPC_ISA", value);
#else
    setenv("DEEPC_ISA", value, 1);
#endif
}

/* As at the start of a process. */
static void forget(void) { atomic_store(&dc_isa_index, -1); }

static void test_list(void) {
    size_t count = 0;
    int portable = 0;
    for (; dc_isa_available(count); count++)
        portable += strcmp(dc_isa_available(count), "portable") == 0;
    CHECK(count >= 1 && count <= ISA_COUNT && portable == 1);
    CHECK(!dc_isa_available(count) && !dc_isa_available((size_t)-1));
}

static void test_choice(void) {
    for (size_t i = 0; dc_isa_available(i); i++) {
        CHECK(dc_set_isa(dc_isa_available(i)) == DC_OK);
        CHECK(strcmp(dc_isa(), dc_isa_available(i)) == 0);
    }
    CHECK(dc_set_isa("portable") == DC_OK);
    CHECK(dc_set_isa("sse9") == DC_BAD_NAME && dc_set_isa("") == DC_BAD_NAME);
    CHECK(dc_set_isa(NULL) == DC_BAD_NAME && dc_set_isa("AVX2") == DC_BAD_NAME);
    CHECK(strcmp(dc_isa(), "portable") == 0);
}

/* All promise the same bits but the portable one on some targets, whose own arithmetic tells: the
 * product's last bit is lost where it is rounded before the sum. */
static void test_promise(void) {
    for (size_t i = 0; dc_isa_available(i); i++) {
        const char *name = dc_isa_available(i);
        CHECK(dc_set_isa(name) == DC_OK);
        const float a = 1 + 0x1p-12f, x[2] = {-1, a}, w[2] = {1, a};
        float y = 0;
        CHECK(dc_matmul_f32(0, 0, 1, 1, 2, x, 2, w, 1, 0, NULL, DC_IDENTITY, 0, &y, 1) == DC_OK);
        CHECK(y == (dc_isa_promises_bits(name) ? 0x1p-11f + 0x1p-24f : 0x1p-11f));
        CHECK(dc_isa_promises_bits(name) || strcmp(name, "portable") == 0);
    }
    CHECK(!dc_isa_promises_bits("sse9") && !dc_isa_promises_bits("") &&
          !dc_isa_promises_bits(NULL));
}

static void test_environment(void) {
    for (size_t i = 0; dc_isa_available(i); i++) {
        set_environment(dc_isa_available(i));
        forget();
        CHECK(dc_initialize() == DC_OK);
        CHECK(strcmp(dc_isa(), dc_isa_available(i)) == 0);
    }
    set_environment("sse9");
    CHECK(dc_initialize() == DC_OK); /* read once */
    forget();
    CHECK(dc_initialize() == DC_BAD_NAME);
    CHECK(strcmp(dc_isa(), dc_isa_available(0)) == 0);
    CHECK(dc_set_isa("portable") == DC_OK && dc_initialize() == DC_BAD_NAME);
}

static void test_texts(void) {
    for (int status = DC_OK; status <= DC_NO_MEMORY; status++) {
        CHECK(strlen(dc_status_text(status)) > 0);
        CHECK(strcmp(dc_status_text(status), dc_status_text(-1)) != 0);
        for (int other = DC_OK; other < status; other++)
            CHECK(strcmp(dc_status_text(status), dc_status_text(other)) != 0);
    }
    CHECK(dc_status_text(-1) && dc_status_text(1000));
    int major, minor, patch;
    CHECK(sscanf(dc_version(), "%d.%d.%d", &major, &minor, &patch) == 3);
    CHECK(strlen(dc_compiler()) > 0);
}

int main(void) {
    test_list();
    test_choice();
    test_promise();
    test_environment();
    test_texts();
    return check_result();
}
