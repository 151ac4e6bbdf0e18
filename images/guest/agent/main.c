// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serves one request per line: "TOKEN COMMAND". The reply is the command's output, closed by "\036TOKEN STATUS\036". The
 * token is new each time, so no output can forge the mark, and no prompt is needed.
 *
 * "TOKEN userland COMMAND" runs in the user's root file system, whose programs take precedence over ours.
 * "again" repeats the last closing mark, which a shared UART can tear.
 *
 * The commands below are the agent's own. They need no shell and no program, which cost an emulated guest 20 ms each. As
 * a program, the agent runs one of them: agent COMMAND [WORD...].
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"

#define LINE_BYTES 65536
#define MAX_WORDS 128
#define USERLAND "userland "
#define USERLAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.modcompat:/tools"

struct own_command {
	const char *name;
	int (*run)(int argc, char **argv);
	/* also without "agent" in front of it */
	int replaces_program;
	/* the only option that it knows, NULL if it knows none */
	const char *option;
	/* the agent runs it without a process of its own, which would cost most of its time: it only reads, logs or writes files */
	int needs_no_process;
};

static const struct own_command commands[] = {
	{ "insmod", insert_module, 1, "-f", 0 },
	{ "rmmod", remove_module, 1, NULL, 0 },
	{ "cat", print_files, 1, NULL, 0 },
	{ "echo", print_words, 1, NULL, 0 },
	{ "log", log_line, 0, NULL, 1 },
	{ "state", print_state, 0, NULL, 1 },
	{ "alive", check_alive, 0, NULL, 0 },
	{ "validate", validate_slabs, 0, NULL, 0 },
	{ "observe", observe, 0, NULL, 0 },
	{ "receive", receive, 0, NULL, 1 },
};

/* The command of some words, NULL if it is not one of the agent's. */
static const struct own_command *own_command(int argc, char **argv, int named)
{
	const struct own_command *found;
	size_t i;

	for (i = 0; argc && i < sizeof(commands) / sizeof(*commands); i++) {
		found = &commands[i];
		if (strcmp(argv[0], found->name) || !(named || found->replaces_program))
			continue;
		/* Any other option is for the program of that name. */
		if (named || argc < 2 || argv[1][0] != '-' || (found->option && !strcmp(argv[1], found->option)))
			return found;
		return NULL;
	}
	return NULL;
}

/*
 * Split a command into words, in place, as the shell would: blanks separate them, and single quotes keep them together.
 * Returns their number, 0 if the shell has to read it.
 */
static int split(char *command, char **words)
{
	char *from = command, *to = command;
	int count = 0, quoted;

	while (*from) {
		while (*from == ' ')
			from++;
		if (!*from)
			break;
		if (count == MAX_WORDS - 1)
			return 0;
		words[count++] = to;
		for (quoted = 0; *from && (quoted || *from != ' '); from++) {
			if (*from == '\'')
				quoted = !quoted;
			else if (!quoted && strchr("\"\\$`|&;<>()*?[]{}#~!", *from))
				return 0;
			else
				*to++ = *from;
		}
		if (quoted)
			return 0;
		if (*from)
			from++;
		*to++ = 0;
	}
	words[count] = NULL;
	return count;
}

/* Cut " >FILE" off the end of a command. Returns the file, NULL if there is none or if the shell has to read it. */
static char *cut_target(char *command)
{
	char *arrow = strstr(command, " >");

	if (!arrow || !arrow[2] || strpbrk(arrow + 2, " '\"\\$`|&;<>()*?[]{}#~!"))
		return NULL;
	*arrow = 0;
	return arrow + 2;
}

static void enter_userland(void)
{
	if (chroot("/userland") || chdir("/")) {
		perror("/userland");
		exit(127);
	}
	setenv("PATH", USERLAND_PATH, 1);
}

/*
 * Run a command, most of them in a process of their own: whatever a kernel does to it, the agent remains. Returns the
 * exit status.
 */
static int serve(const char *command)
{
	static char copy[LINE_BYTES];
	static char *words[MAX_WORDS];
	int in_userland = !strncmp(command, USERLAND, strlen(USERLAND));
	const struct own_command *own;
	int named, count, status, empty, file;
	char *target;
	pid_t child;

	strcpy(copy, command);
	target = cut_target(copy);
	count = in_userland ? 0 : split(copy, words);
	named = count > 1 && !strcmp(words[0], "agent");
	own = own_command(count - named, words + named, named);
	if (own && own->needs_no_process && !target) {
		status = own->run(count - named, words + named);
		fflush(stdout);
		return status;
	}
	child = fork();
	if (!child) {
		empty = open("/dev/null", O_RDONLY);
		dup2(empty, 0);
		dup2(1, 2);
		close(empty); /* a command sees the three usual files only */
		/* If the file cannot be opened, the shell says so. */
		file = own && target ? open(target, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
		if (file >= 0)
			dup2(file, 1);
		if (file > 2)
			close(file);
		if (own && (file >= 0 || !target))
			exit(own->run(count - named, words + named));
		if (named && !own) {
			fprintf(stderr, "agent: there is no command %s\n", words[1]);
			exit(127);
		}
		if (in_userland) {
			enter_userland();
			command += strlen(USERLAND);
		}
		execl("/bin/sh", "sh", "-c", command, NULL);
		perror("/bin/sh");
		exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		dprintf(1, "agent: no process for the command: %m\n");
		return 126;
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	dprintf(1, "%s\n", strsignal(WTERMSIG(status)));
	return 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static char line[LINE_BYTES];
	char last[64] = "none 0";
	struct termios terminal;

	if (argc > 1) {
		const struct own_command *own = own_command(argc - 1, argv + 1, 1);

		if (own)
			return own->run(argc - 1, argv + 1);
		fprintf(stderr, "agent: there is no command %s\n", argv[1]);
		return 127;
	}
	if (!tcgetattr(0, &terminal)) {
		cfmakeraw(&terminal);
		/*
		 * An 8250 waits for the time of four characters before it announces the last ones of a request; at its
		 * usual 9600 baud, QEMU makes that 4 ms of every request.
		 */
		cfsetspeed(&terminal, B115200);
		tcsetattr(0, TCSANOW, &terminal);
	}
	open_mailbox();
	dprintf(1, "\036ready\036");
	while (fgets(line, sizeof(line), stdin)) {
		char *command = line + strcspn(line, " \n");
		char *end = line + strcspn(line, "\n");

		*end = 0;
		if (strcmp(line, "again")) {
			if (command < end)
				*command++ = 0;
			snprintf(last, sizeof(last), "%.32s %d", line, serve(command));
		}
		dprintf(1, "\036%s\036", last);
	}
	return 0;
}
