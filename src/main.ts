import 'reflect-metadata';
import { runCli } from './app/cli.js';
import { UNITS } from './app/units.js';

process.exitCode = await runCli(process.argv.slice(2), {
  table: UNITS,
  stdout: process.stdout,
  stderr: process.stderr,
});
