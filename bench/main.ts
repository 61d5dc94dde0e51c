import { writeFile } from 'node:fs/promises';
import { type Bench, renderReport, runBench } from './harness.js';

/** `npm run bench -- <name> [--json FILE]`: runs `bench/<name>.ts` and prints its table. */
const [name, flag, file] = process.argv.slice(2);
if (name === undefined || !/^[a-z][a-z0-9.-]*$/.test(name)) {
  process.stderr.write('usage: npm run bench -- <name> [--json FILE]\n');
  process.exitCode = 2;
} else {
  const { bench } = (await import(`./${name}.js`)) as { readonly bench: Bench };
  const report = await runBench(name, bench);
  process.stdout.write(`${renderReport(report)}\n`);
  if (flag === '--json' && file !== undefined) await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
}
