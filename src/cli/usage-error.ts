/** A wrong command line: exit code 2, with a hint at --help. */
export class UsageError extends Error {}
