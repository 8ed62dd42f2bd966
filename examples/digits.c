/* Handwritten digits: trains a network on images from a CSV file, then says how many of those
 * that it has not seen it gets right.
 *
 *   digits FILE [EPOCHS]
 *
 * Each line of the file is one image: its class (0 to 9), then its pixels, separated by
 * commas; README.md says how to make one. One image in five is kept for the test. Exits with 0
 * if the network beats guessing. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deepc.h>

enum { CLASSES = 10, HIDDEN = 64, BATCH = 32, SEED = 1, MOST_PIXELS = 1 << 16 };

/* The images of a file: rows x pixels, and their classes. */
typedef struct images {
    size_t rows, pixels;
    float *x;
    int64_t *classes;
} images;

/* A linear layer with all its memory: weights, bias, their gradients, and what Adam keeps of
 * each. */
typedef struct linear {
    dc_layer layer;
    dc_tensor_f32 tensors[2];
} linear;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "digits: %s: %s\n", what, why);
    exit(1);
}

static void check(int status, const char *call) {
    if (status != DC_OK) fail(call, dc_status_text(status));
}

static void *zeros(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("memory", "there is not enough");
    return memory;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The next number of a line, up to a comma or the end. False: there is none, or something else
 * stands there. */
static int read_number(char **position, double *number) {
    char *end;
    errno = 0;
    *number = strtod(*position, &end);
    if (end == *position || errno || !isfinite(*number)) return 0;
    while (*end == ' ') end++;
    if (*end != ',' && *end != '\0') return 0;
    *position = *end == ',' ? end + 1 : end;
    return 1;
}

/* A line of any length, without its end; 0 at the end of the file. */
static int read_line(FILE *file, char **line, size_t *capacity) {
    size_t length = 0;
    int c = getc(file);
    if (c == EOF) return 0;
    for (;; c = getc(file)) {
        if (length + 1 > *capacity) {
            *capacity = 2 * *capacity + 256;
            *line = realloc(*line, *capacity);
            if (!*line) fail("memory", "there is not enough");
        }
        if (c == EOF || c == '\n' || c == '\r') break;
        (*line)[length++] = (char)c;
    }
    (*line)[length] = '\0';
    return 1;
}

static size_t count_pixels(const char *line) {
    size_t commas = 0;
    for (; *line; line++) commas += *line == ',';
    return commas;
}

/* The class and the pixels of one line, as the last image of all. */
static void read_image(char *line, const char *where, images *all) {
    double number;
    if (!read_number(&line, &number) || number < 0 || number >= CLASSES || number != floor(number))
        fail(where, "expected a class from 0 to 9");
    all->classes[all->rows] = (int64_t)number;
    for (size_t i = 0; i < all->pixels; i++) {
        if (!read_number(&line, &number)) fail(where, "expected a number for each pixel");
        all->x[all->rows * all->pixels + i] = (float)number;
    }
    all->rows++;
}

static void read_images(const char *path, images *all) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path, strerror(errno));
    char *line = NULL, where[64];
    size_t capacity = 0, room = 0;
    *all = (images){0};
    for (size_t count = 1; read_line(file, &line, &capacity); count++) {
        if (!*line) continue;
        snprintf(where, sizeof where, "line %zu", count);
        if (all->rows == 0) all->pixels = count_pixels(line);
        if (all->pixels == 0 || all->pixels > MOST_PIXELS)
            fail(where, "expected a class and pixels, separated by commas");
        if (count_pixels(line) != all->pixels)
            fail(where, "has not as many pixels as the first one");
        if (all->rows == room) {
            room = 2 * room + 256;
            all->x = realloc(all->x, room * all->pixels * sizeof *all->x);
            all->classes = realloc(all->classes, room * sizeof *all->classes);
            if (!all->x || !all->classes) fail("memory", "there is not enough");
        }
        read_image(line, where, all);
    }
    fclose(file);
    free(line);
    if (all->rows < 2 * CLASSES) fail(path, "expected at least 20 images");
}

/* Scales pixels to mean 0 and deviation 1 over all images, and brings the images into random
 * order. */
static void prepare(images *all) {
    const size_t n = all->rows * all->pixels;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)all->x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += pow((double)all->x[i] - mean, 2);
    const double deviation = sqrt(squares / (double)n);
    if (deviation == 0) fail("pixels", "all are the same");

    int64_t *order = zeros(all->rows, sizeof *order), *classes = zeros(all->rows, sizeof *classes);
    float *x = zeros(n, sizeof *x);
    check(dc_random_permutation(SEED, 0, all->rows, order), "dc_random_permutation");
    for (size_t i = 0; i < all->rows; i++) {
        const float *from = all->x + (size_t)order[i] * all->pixels;
        classes[i] = all->classes[order[i]];
        for (size_t j = 0; j < all->pixels; j++)
            x[i * all->pixels + j] = (float)(((double)from[j] - mean) / deviation);
    }
    free(order);
    free(all->x);
    free(all->classes);
    all->x = x;
    all->classes = classes;
}

/* ---- The network ----------------------------------------------------------------------------- */

static linear make_linear(size_t inputs, size_t outputs, uint64_t counter) {
    linear l = {.layer = {.kind = DC_LAYER_LINEAR, .inputs = inputs, .outputs = outputs}};
    const size_t sizes[2] = {inputs * outputs, outputs};
    for (int i = 0; i < 2; i++) {
        l.tensors[i] = (dc_tensor_f32){.size = sizes[i],
                                       .gradient = zeros(sizes[i], sizeof(float)),
                                       .parameter = zeros(sizes[i], sizeof(float)),
                                       .first = zeros(sizes[i], sizeof(float)),
                                       .second = zeros(sizes[i], sizeof(float))};
    }
    l.layer.weights = l.tensors[0].parameter;
    l.layer.bias = l.tensors[1].parameter;
    l.layer.d_weights = (float *)l.tensors[0].gradient;
    l.layer.d_bias = (float *)l.tensors[1].gradient;
    /* Xavier: variance 2 / (inputs + outputs). */
    const double deviation = sqrt(2.0 / (double)(inputs + outputs));
    check(dc_random_normal_f32(SEED, counter, sizes[0], 0, deviation, l.layer.weights), "weights");
    return l;
}

static void free_linear(linear *l) {
    for (int i = 0; i < 2; i++) {
        free((float *)l->tensors[i].gradient);
        free(l->tensors[i].parameter);
        free(l->tensors[i].first);
        free(l->tensors[i].second);
    }
}

/* The share of images whose class has the largest output. */
static double accuracy(dc_network_f32 *network, const images *some) {
    float *y = zeros(some->rows * CLASSES, sizeof *y);
    size_t right = 0;
    check(dc_network_forward_f32(network, some->rows, some->pixels, some->x, y),
          "dc_network_forward");
    for (size_t i = 0; i < some->rows; i++) {
        int64_t best = 0;
        for (int64_t c = 1; c < CLASSES; c++) {
            if (y[i * CLASSES + (size_t)c] > y[i * CLASSES + (size_t)best]) best = c;
        }
        right += best == some->classes[i];
    }
    free(y);
    return (double)right / (double)some->rows;
}

/* Each epoch is one call, in a new order of the images. */
static void train(dc_network_f32 *network, const dc_tensor_f32 tensors[4], const images *some,
                  int epochs) {
    dc_optimizer optimizer = {.rule = DC_ADAM,
                              .learning_rate = 1e-3,
                              .momentum = 0.9,
                              .decay = 0.999,
                              .epsilon = 1e-8};
    int64_t *order = zeros(some->rows, sizeof *order);
    for (int epoch = 1; epoch <= epochs; epoch++) {
        check(dc_random_permutation(SEED, (uint64_t)epoch, some->rows, order),
              "dc_random_permutation");
        const dc_samples_f32 samples = {.rows = some->rows,
                                        .cols = some->pixels,
                                        .x = some->x,
                                        .labels = some->classes,
                                        .order = order,
                                        .batch_size = BATCH,
                                        .loss = DC_SOFTMAX_CROSS_ENTROPY,
                                        .mean = 1};
        size_t next = 0;
        double loss = 0;
        check(
            dc_network_train_f32(network, &optimizer, 4, tensors, &samples, INFINITY, &next, &loss),
            "dc_network_train");
        printf("epoch %2d  loss %.4f\n", epoch, loss / (double)some->rows);
    }
    free(order);
}

int main(int argc, char **argv) {
    const int epochs = argc == 3 ? atoi(argv[2]) : 20;
    if (argc < 2 || argc > 3 || epochs < 1) {
        fprintf(stderr, "usage: digits FILE [EPOCHS]\n");
        return 2;
    }
    images all;
    read_images(argv[1], &all);
    prepare(&all);
    images training = all, test = all;
    training.rows = all.rows - all.rows / 5;
    test.rows = all.rows / 5;
    test.x = all.x + training.rows * all.pixels;
    test.classes = all.classes + training.rows;

    linear hidden = make_linear(all.pixels, HIDDEN, 1), output = make_linear(HIDDEN, CLASSES, 2);
    dc_layer activation = {.kind = DC_LAYER_RELU};
    dc_layer *layers[] = {&hidden.layer, &activation, &output.layer};
    const dc_tensor_f32 tensors[] = {hidden.tensors[0], hidden.tensors[1], output.tensors[0],
                                     output.tensors[1]};
    dc_network_f32 *network;
    check(dc_network_create_f32(3, layers, &network), "dc_network_create");
    printf("%zu images of %zu pixels, %zu of them for the test\n", all.rows, all.pixels, test.rows);
    train(network, tensors, &training, epochs);
    const double right = accuracy(network, &test);
    printf("right: %.4f of the training images, %.4f of the test images\n",
           accuracy(network, &training), right);

    dc_network_free_f32(network);
    free_linear(&hidden);
    free_linear(&output);
    free(all.x);
    free(all.classes);
    /* Guessing gets one in ten; any real digits are far above twice that after one epoch. */
    if (right < 0.2) fail("training", "the network is no better than guessing");
    return 0;
}
