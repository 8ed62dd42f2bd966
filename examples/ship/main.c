/* Runs the network that train.py exported on digits that it has not seen, trains it on with the
 * first half of them, and runs it on the second half again. Exits with 0 if it has the library's
 * bits and did not get worse. Build: cc -O2 main.c digits_net.c */
#include <stdint.h>
#include <stdio.h>

#include "digits_net.h"

enum { ROWS = 200 };

static float x[ROWS][DIGITS_NET_INPUTS];
static int32_t label[ROWS];

static int right(int first, int last) {
    int count = 0;
    for (int i = first; i < last; i++) count += digits_net_predict(x[i]) == label[i];
    return count;
}

int main(void) {
    FILE *file = fopen("rows.bin", "rb");
    if (!file || fread(x, sizeof x, 1, file) != 1 || fread(label, sizeof label, 1, file) != 1)
        return 2;
    fclose(file);
    if (digits_net_self_test() != 0) return 3;
    printf("C: %d of %d right\n", right(0, ROWS), ROWS);

    const int before = right(ROWS / 2, ROWS);
    for (int epoch = 0; epoch < 3; epoch++)
        for (int i = 0; i < ROWS / 2; i++) {
            float target[DIGITS_NET_OUTPUTS] = {0};
            target[label[i]] = 1;
            digits_net_train_step(x[i], target);
        }
    const int after = right(ROWS / 2, ROWS);
    printf("second half: %d right, and %d after training on with the first\n", before, after);
    return after + 3 < before;
}
