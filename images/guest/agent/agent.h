/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's own commands. Each is called with the words of its command, and returns the exit status. It may print.
 * Except for log, state and receive, it has a process of its own, and may exit at any time.
 */
#ifndef AGENT_H
#define AGENT_H

/* insmod FILE [PARAMETER...]: the exit status is the error number */
int insert_module(int argc, char **argv);
/* rmmod NAME... */
int remove_module(int argc, char **argv);
/* cat FILE...: no options */
int print_files(int argc, char **argv);
/* echo WORD...: no options; says of an error what the shell says */
int print_words(int argc, char **argv);
/* log WORD...: write a line into the kernel log */
int log_line(int argc, char **argv);
/* state: print the number of CPUs, the kernel's taint flags, and its counts of warnings and oopses, or "-" */
int print_state(int argc, char **argv);
/* alive: on each of two CPUs, have a process that writes a file and waits for a timer; then print the number of CPUs */
int check_alive(int argc, char **argv);
/* validate: validate every slab cache that supports it, and print how many passed */
int validate_slabs(int argc, char **argv);
/* observe save FILE, observe since FILE: what the kernel shows of itself (observe.c) */
int observe(int argc, char **argv);
/* receive FOLDER: write the files in the mailbox into a folder (receive.c) */
int receive(int argc, char **argv);

/* Map the mailbox, if the guest has one: called when the agent starts. */
void open_mailbox(void);

#endif
