"""Let a Thunderbird that runs fetch mail, through its Marionette socket.

usage: thunderbird.py marionette port user password how directory security

how is keep, delete, or age: what was fetched a week ago is deleted. All that
its inbox has then is left in the directory, as it was sent; what it told its
user is printed. The exit status is 0 if it says that all went well.
"""
import fcntl
import json
import os
import shutil
import socket
import sys
import time

marionette, port, user, password, how, directory, security = sys.argv[1:]

POLL = r"""
const [port, user, password, how, kind] = arguments;
const { MailServices } = ChromeUtils.importESModule(
    "resource:///modules/MailServices.sys.mjs");
const said = [];
delete MailServices.fetched;

// Whatever is asked is cancelled.
const dialogs = window => {
	said.push(window.Dialog.args.text);
	window.document.querySelector("dialog").getButton("cancel").click();
};

async function remember(server) {
	const origin = "mailbox://" + server.hostname;
	await Services.logins.removeAllLoginsAsync();
	const login = Cc["@mozilla.org/login-manager/loginInfo;1"]
	    .createInstance(Ci.nsILoginInfo);
	login.init(origin, null, origin, user, password, "", "");
	await Services.logins.addLoginAsync(login);
	server.password = "";
}

function account() {
	const known = MailServices.accounts.findServer(user, "localhost", "pop3");
	if (known)
		return known;
	const server = MailServices.accounts.createIncomingServer(user,
	    "localhost", "pop3");
	const identity = MailServices.accounts.createIdentity();
	identity.email = user + "@example.net";
	const account = MailServices.accounts.createAccount();
	account.addIdentity(identity);
	account.incomingServer = server;
	server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
	server.loginAtStartUp = server.doBiff = false;
	return server;
}

(async () => {
	if (!MailServices.accounts.allServers.some(s => s.type === "none"))
		MailServices.accounts.createLocalMailAccount();
	const server = account().QueryInterface(Ci.nsIPop3IncomingServer);
	server.port = port;
	server.socketType = kind;
	server.leaveMessagesOnServer = how !== "delete";
	server.deleteByAgeFromServer = how === "age";
	server.numDaysToLeaveOnServer = 7;
	await remember(server);
	const window = Services.wm.getMostRecentWindow("mail:3pane");
	const inbox = server.rootFolder.getFolderWithFlags(
	    Ci.nsMsgFolderFlags.Inbox);
	Services.obs.addObserver(dialogs, "common-dialog-loaded");
	const status = await new Promise(ended =>
	    MailServices.pop3.GetNewMail(window.msgWindow, {
		OnStartRunningUrl() {},
		OnStopRunningUrl(url, status) { ended(status) },
	    }, inbox, server));
	await new Promise(soon => window.setTimeout(soon, 100));
	Services.obs.removeObserver(dialogs, "common-dialog-loaded");
	const logins = await Services.logins.getAllLogins();
	return {
		status, said, inbox: inbox.filePath.path,
		kept: logins.some(l => l.username === user &&
		    l.password === password),
	};
})().then(result => MailServices.fetched = result,
    e => MailServices.fetched = { status: String(e) + e.stack });
"""


RESULT = r"""
return ChromeUtils.importESModule(
    "resource:///modules/MailServices.sys.mjs").MailServices.fetched;
"""


class Marionette:
    """Messages are JSON arrays behind their length and a colon."""

    def __init__(self):
        self.socket = socket.create_connection(
            ("127.0.0.1", int(marionette)), 100)
        self.file = self.socket.makefile("rb")
        self.number = 0
        self.receive()

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            octet = self.file.read(1)
            if not octet:
                sys.exit("Thunderbird has ended")
            length += octet
        return json.loads(self.file.read(int(length[:-1])))

    def ask(self, command, **arguments):
        self.number += 1
        text = json.dumps([0, self.number, command, arguments]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        error, value = self.receive()[2:]
        # A script ends without a result when there is a dialog.
        if error and error["error"] != "unexpected alert open":
            sys.exit("%s: %s" % (command, error))
        return value and value.get("value")


# One at a time: it has no second session, nor does it connect twice at once.
with open("marionette.lock", "w") as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    browser = Marionette()
    browser.ask("WebDriver:NewSession", acceptInsecureCerts=True,
                unhandledPromptBehavior="ignore")
    browser.ask("Marionette:SetContext", value="chrome")
    browser.ask("WebDriver:ExecuteScript", script=POLL, args=[
        int(port), user, password, how,
        {"stls": 2, "tls": 3}.get(security, 0)])
    result = None
    while result is None:
        time.sleep(0.1)
        result = browser.ask("WebDriver:ExecuteScript", script=RESULT,
                             args=[])
    browser.ask("WebDriver:DeleteSession")

if "inbox" not in result:
    sys.exit(result["status"])
print("exit %(status)s, password kept: %(kept)s" % result)
print("\n".join(result["said"]))
shutil.rmtree(directory)
os.mkdir(directory)
inbox = os.path.join(result["inbox"], "cur")
for name in os.listdir(inbox):
    with open(os.path.join(inbox, name), "rb") as message:
        lines = message.readlines()
    while lines[0].startswith((b"X-Account-Key:", b"X-UIDL:", b"X-Mozilla-")):
        del lines[0]
    with open(os.path.join(directory, name), "wb") as message:
        message.writelines(lines)
sys.exit(result["status"] != 0)
