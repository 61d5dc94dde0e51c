import { ERROR_FAMILIES } from '../src/rails/errors/registry.js';
import { runGenerator } from './generated.js';

/** docs/errors.md from the error registry; `--check` only compares. */
function errorsPage(): string {
  const lines = [
    '# Errors',
    '',
    'Generated from `src/rails/errors/` by `npm run docs`; do not edit. Every refusal of the platform is one of these codes.',
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

runGenerator(
  { command: 'npm run docs', files: [{ path: 'docs/errors.md', text: errorsPage() }] },
  process.argv.slice(2),
);
