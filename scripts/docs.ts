import 'reflect-metadata';
import type { UnitTable } from '../src/app/unit-table.js';
import { UNITS } from '../src/app/units.js';
import { ERROR_FAMILIES } from '../src/rails/errors/registry.js';
import { runGenerator } from './generated.js';

/** docs/errors.md from the error registry; `--check` only compares. */
function errorsPage(): string {
  const lines = [
    '# Errors',
    '',
    'Generated from `src/rails/errors/` by `npm run generate`; do not edit. Every refusal of the platform is one of these codes.',
    'Over HTTP it travels as problem+json (RFC 9457) with the members `code`, `retryable` and `remedy`.',
    '**Retry** says whether the very same call may succeed later without anybody changing it.',
  ];
  for (const { title, errors } of ERROR_FAMILIES) {
    lines.push(
      '',
      `## ${title}`,
      '',
      '| code | HTTP | retry | what happened | what to do |',
      '| --- | --- | --- | --- | --- |',
    );
    const codes = Object.entries(errors).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [code, spec] of codes) {
      const cells = [`\`${code}\``, String(spec.status), spec.retryable ? 'yes' : 'no', spec.title, spec.remedy];
      lines.push(`| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** docs/units.md from the unit table: what stands there is what `--role` takes. */
function unitsPage(table: UnitTable): string {
  const lines = [
    '# Units',
    '',
    'Generated from `src/app/units.ts` by `npm run generate`; do not edit. A unit stands here when it is built, and `--role` takes exactly these.',
    '',
  ];
  if (table.units.length === 0) lines.push('No unit has been built yet.');
  else {
    lines.push(
      '| role | unit | kind | calls | consumes | produces | schema | prefixes | policies | instances | why |',
      '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    );
    for (const unit of [...table.units].sort((a, b) => (a.role < b.role ? -1 : 1))) {
      const list = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ') || '–';
      const cells = [
        `\`${unit.role}\``,
        unit.unit,
        unit.kind,
        list(unit.calls),
        list(unit.consumes?.topics ?? []),
        list(unit.produces),
        list(unit.schema === undefined ? [] : [unit.schema]),
        list(unit.prefixes),
        list(unit.policies.map(({ policy_id }) => policy_id)),
        unit.instances,
        unit.why,
      ];
      lines.push(`| ${cells.join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

runGenerator(
  {
    command: 'npm run generate',
    files: [
      { path: 'docs/errors.md', text: errorsPage() },
      { path: 'docs/units.md', text: unitsPage(UNITS) },
    ],
  },
  process.argv.slice(2),
);
