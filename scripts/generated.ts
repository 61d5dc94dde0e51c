import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file of the repository that is made from the code. */
export interface GeneratedFile {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Generator {
  /** The command that writes the files, for the one who reads that they are stale. */
  readonly command: string;
  readonly files: readonly GeneratedFile[];
  /** Files of this folder and suffix are all generated: one that is not is left over from a source that is gone. */
  readonly owns?: { readonly folder: string; readonly suffix: string };
}

/** The compiled scripts lie in `.build/scripts/`, two folders below the root. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Writes the files, or with `--check` compares them: each that differs, is missing or is left over is named, and the
 * program then ends with 1. Nothing is written in that mode.
 */
export function runGenerator(generator: Generator, args: readonly string[]): void {
  const stale = staleFiles(generator);
  if (args.includes('--check')) {
    for (const path of stale) process.stderr.write(`${path} is not up to date: run \`${generator.command}\`\n`);
    process.exitCode = stale.length === 0 ? 0 : 1;
    return;
  }
  for (const path of leftOvers(generator)) rmSync(join(ROOT, path));
  for (const { path, text } of generator.files) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
  }
  for (const path of stale) process.stdout.write(`${path}\n`);
}

function staleFiles(generator: Generator): readonly string[] {
  const differing = generator.files.filter(({ path, text }) => contentOf(path) !== text).map(({ path }) => path);
  return [...differing, ...leftOvers(generator)];
}

function leftOvers({ files, owns }: Generator): readonly string[] {
  if (owns === undefined || !existsSync(join(ROOT, owns.folder))) return [];
  const generated = new Set(files.map(({ path }) => path));
  return readdirSync(join(ROOT, owns.folder))
    .filter((name) => name.endsWith(owns.suffix))
    .map((name) => `${owns.folder}/${name}`)
    .filter((path) => !generated.has(path));
}

function contentOf(path: string): string | undefined {
  const file = join(ROOT, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
