// What both round trips share: where the service is, and how to stop when something isn't as it should be.

declare const process: { env: Record<string, string | undefined>; exitCode?: number };

export const api = process.env["BAREMO_API"] ?? "http://127.0.0.1:8080";
export const password = process.env["BAREMO_PASSWORD"] ?? "";

/** Stops with a message unless the condition holds. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** What a call gave, or stops with the problem that it answered. */
export function good<T>(result: { data?: T; error?: unknown }): T {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

/** Looks until there is something to see, for half a minute: grades follow changes within a second or so. */
export async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 150; tries += 1) {
    const seen = await look();
    if (seen !== undefined) return seen;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`waited too long until ${what}`);
}

/** Runs a round trip and tells how it ended. */
export async function run(title: string, trip: () => Promise<void>): Promise<void> {
  try {
    await trip();
    console.log(`${title}: the round trip is done`);
  } catch (error) {
    console.error(`${title}:`, error);
    process.exitCode = 1;
  }
}
