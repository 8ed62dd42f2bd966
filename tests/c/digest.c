/* The promise of the same bits: a digest of every kernel and every public function, for each
 * instruction set, and what they must be everywhere.
 *
 *   digest [ISA ...]      print the digests: of those instruction sets, or of all that promise them
 *   digest --check FILE   compare all of the latter with FILE, and name what differs
 *   digest --update FILE  write FILE, if they agree among themselves
 *
 * FILE is tests/c/digest.expected. It changes where a computation is meant to give other bits, and
 * a change of bits is a change of the interface. Elsewhere a difference is a fault, of this
 * library, or of a compiler that does not keep to the order of operations. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deepc.h"

enum { MOST_LINES = 1000, SKIPPED = 77 /* what ctest takes for a skipped test */ };

typedef struct line {
    char name[40], dtype[5];
    uint64_t digest;
} line;

typedef struct listing {
    size_t count;
    line lines[MOST_LINES];
} listing;

static void add_line(listing *l, const char *name, const char *dtype, uint64_t digest) {
    if (l->count == MOST_LINES) {
        fprintf(stderr, "more than %d digests: raise MOST_LINES\n", MOST_LINES);
        exit(2);
    }
    line *next = &l->lines[l->count++];
    snprintf(next->name, sizeof next->name, "%s", name);
    snprintf(next->dtype, sizeof next->dtype, "%s", dtype);
    next->digest = digest;
}

static const line *find(const listing *l, const char *name, const char *dtype) {
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->lines[i].name, name) && !strcmp(l->lines[i].dtype, dtype))
            return &l->lines[i];
    return NULL;
}

/* All digests on one instruction set; the last line is that of all others. */
static void compute(const char *isa, listing *l) {
    static const struct {
        const char *dtype;
        const workload *workloads;
    } groups[] = {{"f32", kernel_workloads_f32}, {"f64", kernel_workloads_f64},
                  {"f32", call_workloads_f32},   {"f64", call_workloads_f64},
                  {"f32", layer_workloads_f32},  {"f64", layer_workloads_f64},
                  {"f32", rule_workloads_f32},   {"f64", rule_workloads_f64}};
    uint64_t all = DIGEST_START;
    l->count = 0;
    dc_set_isa(isa);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const workload *w = groups[g].workloads; w->name; w++) {
            const uint64_t digest = w->run();
            add_line(l, w->name, groups[g].dtype, digest);
            all = digest_word(all, digest, sizeof digest);
        }
    add_line(l, "all", "both", all);
}

/* The i-th instruction set of those that promise the same bits. */
static const char *promising(size_t i) {
    const char *isa;
    for (size_t j = 0; (isa = dc_isa_available(j)); j++)
        if (dc_isa_promises_bits(isa) && i-- == 0) break;
    return isa;
}

static void write_line(FILE *file, const line *l) {
    fprintf(file, "%s %s %016" PRIx64 "\n", l->name, l->dtype, l->digest);
}

static int print(int count, char **isas) {
    static listing now;
    for (size_t i = 0; count ? i < (size_t)count : promising(i) != NULL; i++) {
        const char *isa = count ? isas[i] : promising(i);
        if (dc_set_isa(isa)) {
            fprintf(stderr, "%s is not an instruction set of this machine and this build\n", isa);
            return 2;
        }
        compute(isa, &now);
        for (size_t j = 0; j < now.count; j++) {
            printf("%s ", isa);
            write_line(stdout, &now.lines[j]);
        }
    }
    return 0;
}

/* Lines of name, dtype and digest; others are skipped. */
static int read_file(const char *path, listing *l) {
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return 0;
    }
    char text[200], name[40], dtype[5];
    uint64_t digest;
    l->count = 0;
    while (fgets(text, sizeof text, file))
        if (*text != '#' && sscanf(text, "%39s %4s %16" SCNx64, name, dtype, &digest) == 3)
            add_line(l, name, dtype, digest);
    fclose(file);
    return 1;
}

/* Names the lines in which `now`, of that instruction set, is not as `want`; how many they are. */
static size_t compare(const char *isa, const listing *now, const char *whose, const listing *want) {
    size_t wrong = 0;
    for (size_t i = 0; i < now->count; i++) {
        const line *have = &now->lines[i], *other = find(want, have->name, have->dtype);
        if (other && other->digest == have->digest) continue;
        wrong++;
        printf("%s: %s %s is %016" PRIx64 ", not as %s\n", isa, have->name, have->dtype,
               have->digest, whose);
    }
    for (size_t i = 0; i < want->count; i++)
        if (!find(now, want->lines[i].name, want->lines[i].dtype)) {
            wrong++;
            printf("%s: no %s %s, unlike %s\n", isa, want->lines[i].name, want->lines[i].dtype,
                   whose);
        }
    return wrong;
}

/* Compares all instruction sets with the file (or NULL) and with the best one, which goes to
 * *first. */
static size_t compare_all(const char *path, const listing *expected, listing *first) {
    static listing now;
    size_t wrong = 0;
    for (size_t i = 0; promising(i); i++) {
        const char *isa = promising(i);
        compute(isa, i ? &now : first);
        const listing *here = i ? &now : first;
        size_t differences = expected ? compare(isa, here, path, expected) : 0;
        if (i) differences += compare(isa, here, promising(0), first);
        if (!differences) printf("%s: %016" PRIx64 "\n", isa, here->lines[here->count - 1].digest);
        wrong += differences;
    }
    return wrong;
}

static int update(const char *path) {
    static listing now;
    if (compare_all(NULL, NULL, &now)) return 1;
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        return 2;
    }
    fprintf(file,
            "# The digests that every instruction set with fused multiply-add must give: what is\n"
            "# computed, dtype, digest. Written by `digest --update`, see tests/c/digest.c.\n");
    for (size_t i = 0; i < now.count; i++) write_line(file, &now.lines[i]);
    return fclose(file) ? 2 : 0;
}

int main(int count, char **arguments) {
    if (count < 2 || arguments[1][0] != '-') return print(count - 1, arguments + 1);
    const int check = strcmp(arguments[1], "--check") == 0;
    if (count != 3 || (!check && strcmp(arguments[1], "--update") != 0)) {
        fprintf(stderr, "usage: digest [ISA ... | --check FILE | --update FILE]\n");
        return 2;
    }
    if (!promising(0)) {
        printf("no instruction set here has fused multiply-add: outside the promise\n");
        return SKIPPED;
    }
    if (!check) return update(arguments[2]);
    static listing expected, first;
    if (!read_file(arguments[2], &expected)) return 2;
    return compare_all(arguments[2], &expected, &first) > 0;
}
