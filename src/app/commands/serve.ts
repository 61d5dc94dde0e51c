import type { Writable } from 'node:stream';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { boot, type Running } from '../boot.js';
import { listenForInterrupt } from '../client/interrupt.js';
import type { Report } from '../client/report.js';
import type { ServeFlags } from '../flags.js';
import { openDataFolder } from '../data-folder.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { readKey } from '../local-keys.js';
import { openLogFile } from '../log-file.js';
import { loadProfile, type Profile } from '../profile.js';
import { refuseImpossible, selectUnits } from '../roles.js';
import type { Terminal } from '../terminal.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import { VERSION } from '../version.js';
import { OPERATOR } from '../client/open-door.js';
import { demo, DEMO_ROLES } from './demo.js';
import { triggerTypesOf } from './reconcile.js';

/**
 * Runs the roles until SIGINT or SIGTERM, then stops in order. A second signal does not wait any longer. A first start on an empty data
 * folder shows what the program does; with --once it ends after that, and its exit code says whether all was reconciled.
 */
export async function serve(
  units: UnitTable,
  flags: ServeFlags,
  terminal: Terminal,
  logs: Writable,
): Promise<ExitCode> {
  const startedMs = performance.now();
  const selected = selectUnits(units, flags.role);
  const profile = loadProfile(flags.profile, policyKindsOf(units));
  refuseImpossible(selected, profile);
  const folder = openDataFolder(flags.data);

  // From the first moment, so that a Ctrl-C during the start is not lost but stops what has been started.
  const interrupt = listenForInterrupt();
  // A person at a screen reads sentences; the log, a JSON line per event, would bury them. Elsewhere standard error is the log.
  const file = terminal.screen?.isTty === true ? openLogFile(folder, 'serve') : undefined;
  try {
    const { port } = flags;
    const log = file?.stream ?? logs;
    const running = await boot({
      table: units,
      selected,
      profile,
      folder,
      logs: log,
      ...(port === undefined ? {} : { port }),
    });
    const ready = readyReport(running, flags, performance.now() - startedMs, file?.path);
    // With --once there is one answer, at the end.
    if (flags.once !== true || !terminal.json) terminal.answer(ready.document, ready.lines);

    let shown: ExitCode;
    try {
      shown = await show(running, flags, terminal, interrupt.signal, ready);
      if (flags.once !== true) await aborted(interrupt.signal);
    } catch (error) {
      await stop(running, profile, terminal, 'the demonstration failed');
      throw error;
    }
    const reason = interrupt.signal.aborted ? String(interrupt.signal.reason) : 'done';
    const stopped = await stop(running, profile, terminal, reason);
    // A program that served until it was told to stop did what was asked, whatever its first minute showed.
    return stopped === EXIT.OK && flags.once === true ? shown : stopped;
  } finally {
    await file?.close();
    interrupt.dispose();
  }
}

function readyReport(
  running: Running,
  flags: ServeFlags,
  tookMs: number,
  logFile: string | undefined,
): Omit<Report, 'ok'> {
  const { url, roles, keys } = running;
  const took = (tookMs / 1_000).toFixed(1);
  return {
    document: { ready: true, version: VERSION, url, roles, pid: process.pid, keys, took_ms: Math.round(tookMs) },
    lines: [
      `Probity ${VERSION} is ready at ${url} after ${took} s (profile ${flags.profile}, roles ${roles.join(', ') || 'none built yet'}).`,
      // The units' own keys lie beside it; a person needs this one.
      ...keys.filter(({ keyId }) => keyId === OPERATOR).map(({ file }) => `  Your API key: ${file}`),
      ...(logFile === undefined ? [] : [`  Log: ${logFile}`]),
      `  Try: curl ${url}/health/ready`,
      ...(flags.once === true ? [] : ['  Ctrl-C stops it.']),
    ],
  };
}

/**
 * The demonstration needs the roles that it shows and the key that a start on its own machine makes for the operator; a profile whose
 * policy makes no such key is somebody's production, and nothing is put into it unasked.
 */
async function show(
  running: Running,
  flags: ServeFlags,
  terminal: Terminal,
  signal: AbortSignal,
  ready: Omit<Report, 'ok'>,
): Promise<ExitCode> {
  const once = flags.once === true;
  const operator = running.keys.find(({ keyId }) => keyId === OPERATOR);
  const possible = operator !== undefined && DEMO_ROLES.every((role) => running.roles.includes(role));
  // Machines that start the program want it as it is; --once is their way to ask for the demonstration.
  const wanted = flags.demo && (once || !terminal.json);
  if (!possible || !wanted) {
    if (once && terminal.json) terminal.answer(ready.document, ready.lines);
    return EXIT.OK;
  }
  try {
    const key = readKey(operator.file);
    const report = await demo({
      url: running.url,
      key,
      terminal,
      signal,
      triggerTypes: triggerTypesOf(flags.profile),
      always: once,
    });
    if (report === undefined) {
      terminal.note(`Runs are here already; the run "live" takes transactions.`);
      return EXIT.OK;
    }
    terminal.answer(once ? { ...ready.document, ...report.document } : report.document, [
      '',
      'What a first start shows: a small world, generated, sealed, streamed through the gate, counted, and each payment decided.',
      ...report.lines,
      ...(once ? [] : ['', 'Your turn:', ...yourTurn(running.url, operator.file)]),
    ]);
    return report.ok ? EXIT.OK : EXIT.FAILED;
  } catch (error) {
    // Interrupted before there was a verdict.
    if (signal.aborted) return once ? EXIT.FAILED : EXIT.OK;
    if (once || !isProbityError(error)) throw error;
    // The roles run and serve: what a demonstration could not show is no reason to end them.
    terminal.failure(error);
    return EXIT.FAILED;
  }
}

function yourTurn(url: string, keyFile: string): readonly string[] {
  return [
    `  curl ${url}/v1/decisions -H "Authorization: Bearer $(cat ${keyFile})" -H 'Content-Type: application/json' \\`,
    `    -d '{"transaction":{"transaction_id":"my-first","occurred_at":"2026-01-31T12:00:00+01:00","amount":"12.30","currency":"EUR","card_id":"card-1"}}'`,
    '  bin/probity decision list --outcome DECLINE    then: bin/probity explain <decision>',
    '  bin/probity import FILE --map mapping.yaml    your own file, see docs/import.md',
  ];
}

async function stop(running: Running, profile: Profile, terminal: Terminal, reason: string): Promise<ExitCode> {
  terminal.note(`Stopping (${reason}) …`);
  const ended = await running.stop();
  if (ended === 'cut short') {
    terminal.note(`The stop ran out of its ${profile.wiring.stop_timeout_ms} ms; what was acknowledged is safe.`);
    return EXIT.STOP_CUT_SHORT;
  }
  terminal.note('Stopped.');
  return EXIT.OK;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
