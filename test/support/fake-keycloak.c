// SPDX-License-Identifier: Apache-2.0

/*
 * Stands in for Keycloak in a container: responds on the path of discovery once it has read the realm. What the realm
 * holds says how it behaves: "crash" ends at once, "mute" never responds.
 */

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int signal) { _exit(signal == SIGTERM ? 143 : 1); }

int main(int argc, char **argv) {
  char text[4096] = "", request[4096];
  signal(SIGTERM, end);
  FILE *realm = fopen("/opt/keycloak/data/import/realm.json", "r");
  if (realm == NULL || fread(text, 1, sizeof text - 1, realm) == 0) return fputs("no realm\n", stderr), 4;
  if (argc < 3 || strcmp(argv[1], "start-dev") != 0) return fputs("wrong arguments\n", stderr), 5;
  if (strcmp(getenv("KEYCLOAK_ADMIN"), "admin") != 0) return fputs("no administrator\n", stderr), 6;
  puts("the realm is read");
  fflush(stdout);
  if (strstr(text, "crash") != NULL) return fputs("the realm is broken\n", stderr), 3;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 8) != 0) return 7;
  for (;;) {
    int client = accept(server, NULL, NULL);
    if (strstr(text, "mute") != NULL) continue;
    ssize_t length = read(client, request, sizeof request - 1);
    if (length < 0) length = 0;
    request[length] = '\0';
    const char *found = "GET /realms/openshell/.well-known/openid-configuration ";
    const char *status = strncmp(request, found, strlen(found)) == 0 ? "200 OK" : "404 Not Found";
    dprintf(client, "HTTP/1.0 %s\r\nContent-Length: 2\r\n\r\n{}", status);
    close(client);
  }
}
