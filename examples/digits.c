/* Handwritten digits: trains a network on images from two IDX files, the format of MNIST, then
 * says how many of those that it has not seen it gets right.
 *
 *   digits IMAGES LABELS
 *
 * Both files are unpacked ones; README.md says where to find them. One image in five is kept for
 * the test. Exits with 0 if the network gets at least 95 % of those right. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deepc.h>

enum { CLASSES = 10, HIDDEN = 64, BATCH = 32, EPOCHS = 20, SEED = 1 };

/* Of an IDX file: five times MNIST. A float for each still fits into any memory's addresses. */
enum { MOST_BYTES = 1 << 28 };

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

/* An IDX file of bytes: a magic number (two zeros, 8 for unsigned bytes, the number of dimensions),
 * each dimension in four bytes, the highest first, then the bytes and nothing else. Returns them,
 * and their sizes. */
static unsigned char *read_idx(const char *path, int dimensions, size_t sizes[]) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path, strerror(errno));
    unsigned char header[4 + 4 * 3];
    const size_t length = 4 + 4 * (size_t)dimensions, got = fread(header, 1, length, file);
    if (got >= 2 && header[0] == 0x1f && header[1] == 0x8b)
        fail(path, "is compressed; gunzip -c unpacks it");
    const unsigned char magic[4] = {0, 0, 8, (unsigned char)dimensions};
    if (got < 4 || memcmp(header, magic, 4) != 0)
        fail(path, dimensions == 3 ? "expected images in IDX format, magic number 00 00 08 03"
                                   : "expected labels in IDX format, magic number 00 00 08 01");
    if (got < length) fail(path, "ends inside its header");
    /* What a header says is not to be trusted: no product of sizes may overflow. */
    size_t count = 1;
    for (int i = 0; i < dimensions; i++) {
        const unsigned char *b = header + 4 + 4 * i;
        sizes[i] = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
        if (sizes[i] == 0) fail(path, "has a dimension of size 0");
        if (sizes[i] > MOST_BYTES / count) fail(path, "is too large for this example");
        count *= sizes[i];
    }
    unsigned char *bytes = zeros(count, 1);
    if (fread(bytes, 1, count, file) != count) fail(path, "is shorter than its header says");
    if (getc(file) != EOF) fail(path, "is longer than its header says");
    fclose(file);
    return bytes;
}

static void read_images(const char *images_path, const char *labels_path, images *all) {
    size_t shape[3], labels;
    unsigned char *pixels = read_idx(images_path, 3, shape);
    unsigned char *classes = read_idx(labels_path, 1, &labels);
    if (labels != shape[0]) fail(labels_path, "has not one label for each image");
    if (labels < 2 * CLASSES) fail(labels_path, "expected at least 20 images");
    *all = (images){.rows = shape[0], .pixels = shape[1] * shape[2]};
    all->x = zeros(all->rows * all->pixels, sizeof *all->x);
    all->classes = zeros(all->rows, sizeof *all->classes);
    for (size_t i = 0; i < all->rows * all->pixels; i++) all->x[i] = pixels[i];
    for (size_t i = 0; i < all->rows; i++) {
        if (classes[i] >= CLASSES) fail(labels_path, "expected labels from 0 to 9");
        all->classes[i] = classes[i];
    }
    free(pixels);
    free(classes);
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
    for (int i = 0; i < 2; i++)
        l.layer.parameters[i] =
            (dc_parameter){sizes[i], l.tensors[i].parameter, (float *)l.tensors[i].gradient};
    /* Xavier: variance 2 / (inputs + outputs). */
    const double deviation = sqrt(2.0 / (double)(inputs + outputs));
    check(dc_random_normal_f32(SEED, counter, sizes[0], 0, deviation, l.tensors[0].parameter),
          "weights");
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
static void train(dc_network_f32 *network, const dc_tensor_f32 tensors[4], const images *some) {
    dc_optimizer optimizer = {.rule = DC_ADAM,
                              .learning_rate = 1e-3,
                              .momentum = 0.9,
                              .decay = 0.999,
                              .epsilon = 1e-8};
    int64_t *order = zeros(some->rows, sizeof *order);
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        check(dc_random_permutation(SEED, (uint64_t)epoch, some->rows, order),
              "dc_random_permutation");
        const dc_samples_f32 samples = {
            .rows = some->rows,
            .cols = some->pixels,
            .x = some->x,
            .labels = some->classes,
            .order = order,
            .batch_size = BATCH,
            .loss = {.kind = DC_SOFTMAX_CROSS_ENTROPY, .reduction = DC_MEAN_OF_ROWS}};
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
    if (argc != 3) {
        fprintf(stderr, "usage: digits IMAGES LABELS\n");
        return 2;
    }
    images all;
    read_images(argv[1], argv[2], &all);
    prepare(&all);
    images training = all, test = all;
    training.rows = all.rows - all.rows / 5;
    test.rows = all.rows / 5;
    test.x = all.x + training.rows * all.pixels;
    test.classes = all.classes + training.rows;

    linear hidden = make_linear(all.pixels, HIDDEN, 1), output = make_linear(HIDDEN, CLASSES, 2);
    dc_layer activation = {.kind = DC_LAYER_ACTIVATION, .activation = DC_RELU};
    dc_layer *layers[] = {&hidden.layer, &activation, &output.layer};
    const dc_tensor_f32 tensors[] = {hidden.tensors[0], hidden.tensors[1], output.tensors[0],
                                     output.tensors[1]};
    dc_network_f32 *network;
    check(dc_network_create_f32(3, layers, &network), "dc_network_create");
    printf("%zu images of %zu pixels, %zu of them for the test\n", all.rows, all.pixels, test.rows);
    train(network, tensors, &training);
    const double right = accuracy(network, &test);
    printf("right: %.4f of the training images, %.4f of the test images\n",
           accuracy(network, &training), right);

    dc_network_free_f32(network);
    free_linear(&hidden);
    free_linear(&output);
    free(all.x);
    free(all.classes);
    if (right < 0.95) fail("training", "fewer than 95 % of the test images are right");
    return 0;
}
