/* `wide`, the type of the C tests' references, and the functions of <math.h> for it: long double,
 * or double where a test says REFERENCES_IN_DOUBLE because it goes over every float.
 *
 * <tgmath.h> is what C has for this, but with clang-cl it would include Microsoft's <complex.h>,
 * which defines no `complex`. */
#ifndef DEEPC_TEST_WIDE_MATH_H
#define DEEPC_TEST_WIDE_MATH_H

#include <math.h>

#ifdef REFERENCES_IN_DOUBLE
typedef double wide;
#else
typedef long double wide;
#define copysign(x, y) copysignl(x, y)
#define erf(x) erfl(x)
#define erfc(x) erfcl(x)
#define exp(x) expl(x)
#define expm1(x) expm1l(x)
#define fabs(x) fabsl(x)
#define log(x) logl(x)
#define log1p(x) log1pl(x)
#define pow(x, y) powl(x, y)
#define sqrt(x) sqrtl(x)
#define tanh(x) tanhl(x)
#endif

#endif
