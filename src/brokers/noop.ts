/** Does nothing: what a broker calls before it is opened, and a listener at its end. */
export function noop (): void {}
