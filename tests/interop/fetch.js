// Fetch what is new with one of Node's libraries; yapople knows no unique-ids.
const fs = require('fs');
const [library, port, user, password, how, dir, idsFile, security] =
    process.argv.slice(2);
const seen = new Set(fs.existsSync(idsFile) ?
    fs.readFileSync(idsFile, 'utf8').split('\n') : []);
let n = fs.readdirSync(dir).length;

// Both leave the dots, and take off the end of the last line.
function file(id, octets) {
	const text = octets.toString('latin1').replace(/\r\n/g, '\n');
	fs.writeFileSync(`${dir}/${++n}`, text.replace(/(^|\n)\./g, '$1') +
	    '\n', 'latin1');
	fs.appendFileSync(idsFile, id + '\n');
}

async function nodePop3() {
	const Client = require('node-pop3');
	const p = new Client({ user, password, host: 'localhost',
	    port: Number(port), timeout: 60000, tls: security === 'tls' });
	for (const [i, id] of await p.UIDL()) {
		if (!seen.has(id))
			file(id, Buffer.from(await p.RETR(i)));
		if (how === 'delete')
			await p.DELE(i);
	}
	await p.QUIT();
}

async function yapople() {
	const { Client } = require('yapople');
	const p = new Client({ username: user, password, hostname: 'localhost',
	    port: Number(port), tls: security === 'tls', mailparser: false });
	await p.connect();
	const count = await p.count();
	for (let i = 1; i <= count; i++) {
		file(i, await p.retr(i));
		if (how === 'delete')
			await p.dele(i);
	}
	await p.quit();
}

// They do not say that the connection has ended: nothing is left to wait for.
process.exitCode = 1;
(library === 'yapople' ? yapople() : nodePop3()).then(() => {
	process.exitCode = 0;
});
