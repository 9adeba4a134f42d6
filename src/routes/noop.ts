/** Does nothing, for functions that a library demands. */
export function noop (): void {}
