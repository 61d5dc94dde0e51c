import 'reflect-metadata';
import { runCli } from '../../src/app/cli.js';
import { TEST_UNITS } from './table.js';

process.exitCode = await runCli(process.argv.slice(2), {
  table: TEST_UNITS,
  stdout: process.stdout,
  stderr: process.stderr,
});
