// SPDX-License-Identifier: Apache-2.0

// The one program of a test image that reads the build's secret. It leaves a proof of what it has read, with every byte
// changed, so that the secret itself is not in the image. With a word it succeeds where there is no secret.

#include <stdio.h>

int main(int argc, char **argv) {
  (void)argv;
  FILE *in = fopen("/run/secrets/MISE_GITHUB_TOKEN", "r");
  if (argc > 1) return in == NULL ? 0 : 3;
  if (in == NULL) return 2;
  FILE *out = fopen("/proof", "w");
  if (out == NULL) return 4;
  for (int c; (c = fgetc(in)) != EOF;) fputc(c ^ 1, out);
  return fclose(out) == 0 ? 0 : 5;
}
