import type { Writable } from 'node:stream';
import { isProbityError, toProblem } from '../rails/errors/probity-error.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Screen } from './client/progress.js';

/** What a command writes to: people read lines, machines read one JSON document. */
export interface Terminal {
  readonly json: boolean;
  /** Where progress is drawn; none in JSON mode, where standard error is for problems alone. */
  readonly screen: Screen | undefined;
  /** The answer, on standard output: `lines` for people, `document` for machines. */
  answer(document: unknown, lines: readonly string[]): void;
  /** One sentence for people who wait; nothing in JSON mode. */
  note(line: string): void;
  /** Tells a failure and gives the exit code for it. */
  failure(error: unknown): ExitCode;
}

export function openTerminal(streams: { stdout: Writable; stderr: Writable }, json: boolean): Terminal {
  const { stderr } = streams;
  return {
    json,
    screen: json
      ? undefined
      : { isTty: 'isTTY' in stderr && stderr.isTTY === true, write: (text) => void stderr.write(text) },
    answer: (document, lines) => {
      streams.stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : lines.map((line) => `${line}\n`).join(''));
    },
    note: (line) => {
      if (!json) streams.stdout.write(`${line}\n`);
    },
    failure: (error) => {
      if (!isProbityError(error)) {
        streams.stderr.write(`probity: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
        return EXIT.FAILED;
      }
      const lines = `probity: ${error.detail}\n  ${error.code}. ${error.remedy}\n`;
      streams.stderr.write(json ? `${JSON.stringify(toProblem(error))}\n` : lines);
      return error.code.startsWith('CONFIG_') ? EXIT.USAGE : EXIT.FAILED;
    },
  };
}

/** A plain table: columns as wide as their widest cell, the last one free. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(header), ...rows.map(line)];
}

/** Two columns without a header, the second one to the right: for figures. */
export function figures(rows: readonly (readonly [string, string])[]): readonly string[] {
  const names = Math.max(0, ...rows.map(([name]) => name.length));
  const values = Math.max(0, ...rows.map(([, value]) => value.length));
  return rows.map(([name, value]) => `  ${name.padEnd(names)}  ${value.padStart(values)}`);
}
