import type { Readable } from 'node:stream';
import { ensureLiveRun } from '../client/journey.js';
import { type Answered, sendLines } from '../client/line-sender.js';
import { thousands } from '../client/progress.core.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { IngestFlags } from '../flags.js';
import { figures, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';

/** In JSON mode the answer is one document: so many refusals are listed in it, and all are counted. */
const LISTED_MAX = 1_000;

/** Transactions from standard input, one JSON object per line; with --envelopes events in the platform's own form. */
export async function ingest(
  units: UnitTable,
  flags: IngestFlags,
  terminal: Terminal,
  stdin: Readable,
): Promise<ExitCode> {
  const role = flags.envelopes === true ? 'ig' : 'edge';
  // Plain transactions enter through a run that the policy of the edges names; an envelope names its own.
  const run = flags.run ?? (role === 'edge' ? 'live' : undefined);
  const roles =
    role === 'edge' ? (['sr', 'ig', 'edge'] as const) : run === undefined ? (['ig'] as const) : (['sr', 'ig'] as const);
  return await throughDoor({ table: units, flags, terminal, name: 'ingest', roles }, async (travel) => {
    if (run !== undefined) await ensureLiveRun(travel, run);
    const tally = new Tally((line) => {
      travel.progress.clear();
      terminal.note(line);
    });
    try {
      await sendLines(stdin, travel, role, (answers) => {
        tally.add(answers);
        travel.progress.at('Sending', tally.lines);
      });
    } finally {
      travel.progress.clear();
      // Also when it broke off on the way: what was answered until then was done.
      if (tally.lines > 0) terminal.answer(tally.document(), tally.summary());
    }
    if (tally.lines === 0) terminal.answer(tally.document(), tally.summary());
    return tally.refused === 0 ? EXIT.OK : EXIT.FAILED;
  });
}

class Tally {
  lines = 0;
  refused = 0;
  #admitted = 0;
  #duplicate = 0;
  readonly #listed: Readonly<Record<string, string | number>>[] = [];

  constructor(private readonly tell: (line: string) => void) {}

  add(answers: readonly Answered[]): void {
    for (const { line, answer } of answers) {
      this.lines += 1;
      if (answer.accepted === 'ADMIT') this.#admitted += 1;
      else if (answer.accepted === 'DUPLICATE') this.#duplicate += 1;
      else {
        this.refused += 1;
        const { code, detail, eventId, receiptId } = answer;
        this.tell(`line ${line.number}: ${code}${detail === '' ? '' : `: ${detail}`}`);
        if (this.#listed.length < LISTED_MAX) {
          this.#listed.push({
            line: line.number,
            code,
            detail,
            ...(eventId === undefined ? {} : { event_id: eventId }),
            ...(receiptId === undefined ? {} : { receipt_id: receiptId }),
          });
        }
      }
    }
  }

  document(): object {
    const { lines, refused } = this;
    return { lines, admitted: this.#admitted, duplicate: this.#duplicate, refused, refused_lines: this.#listed };
  }

  summary(): readonly string[] {
    return figures([
      ['lines answered', thousands(this.lines)],
      ['admitted', thousands(this.#admitted)],
      ['duplicate', thousands(this.#duplicate)],
      ['refused', thousands(this.refused)],
    ]);
  }
}
