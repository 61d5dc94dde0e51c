import { describe, expect, it } from '@jest/globals';
import { demandStrongSecret, derivePassword, passwordNote, roleOf, schemaName, scramVerifier } from './roles.js';

describe('roles', () => {
  it('makes the verifier of the example in RFC 7677', () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    // The RFC gives the messages; stored and server key follow from its password, salt and 4,096 rounds.
    expect(scramVerifier('pencil', salt)).toBe(
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    );
  });

  it('derives a password of its own for each role and secret, and tells none of them', () => {
    const secrets = ['a'.repeat(32), 'b'.repeat(32)];
    const roles = [roleOf(schemaName('alpha')), roleOf(schemaName('beta'))];
    const passwords = secrets.flatMap((secret) => roles.map((role) => derivePassword(secret, role)));
    expect(new Set(passwords).size).toBe(4);
    for (const password of passwords) {
      expect(password.length).toBeGreaterThanOrEqual(43);
      expect(passwordNote(password)).not.toContain(password.slice(0, 8));
    }
  });

  it.each(['Alpha', 'pg_temp', 'public', 'owner', 'unit', 'a"b', '', '1st', 'x'.repeat(41)])(
    'refuses the schema name "%s"',
    (name) => {
      expect(() => schemaName(name)).toThrow(/VALUE_INVALID/);
    },
  );

  it('refuses a short secret without telling it', () => {
    expect(() => demandStrongSecret('too short')).toThrow(/has 9 characters and needs 32/);
    expect(() => demandStrongSecret('too short')).not.toThrow(/too short/);
  });
});
