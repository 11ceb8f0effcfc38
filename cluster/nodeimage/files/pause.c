// The process that holds a Pod's namespaces: it sleeps, buries orphans, and ends when asked to.
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int sig) {
	(void)sig;
	_exit(0);
}

static void bury(int sig) {
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
	}
}

int main(void) {
	struct sigaction on_quit = {.sa_handler = quit};
	struct sigaction on_child = {.sa_handler = bury, .sa_flags = SA_NOCLDSTOP};

	if (sigaction(SIGTERM, &on_quit, NULL) || sigaction(SIGINT, &on_quit, NULL) || sigaction(SIGCHLD, &on_child, NULL))
		return 1;
	for (;;)
		pause();
}
