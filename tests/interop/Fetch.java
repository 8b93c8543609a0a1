// Fetch what is new with JavaMail: pipelining, and AUTH PLAIN.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import javax.mail.*;
import com.sun.mail.pop3.POP3Folder;

public class Fetch {
	// Its lines end in LF when they are filed.
	static byte[] text(Message message) throws Exception {
		ByteArrayOutputStream out = new ByteArrayOutputStream();
		message.writeTo(out);
		return out.toString(StandardCharsets.ISO_8859_1)
		    .replace("\r\n", "\n")
		    .getBytes(StandardCharsets.ISO_8859_1);
	}

	public static void main(String[] arg) throws Exception {
		boolean delete = arg[3].equals("delete");
		Path directory = Path.of(arg[4]), ids = Path.of(arg[5]);
		String protocol = arg[6].equals("tls") ? "pop3s" : "pop3";
		String stls = String.valueOf(arg[6].equals("stls"));
		String prefix = "mail." + protocol + ".";
		Properties p = new Properties();
		p.put(prefix + "auth.mechanisms", "PLAIN");
		p.put(prefix + "pipelining", "true");
		p.put(prefix + "timeout", "60000");
		p.put(prefix + "ssl.trust", "*");
		p.put(prefix + "starttls.required", stls);
		p.put(prefix + "starttls.enable", stls);
		List<String> seen = new ArrayList<>(Files.exists(ids) ?
		    Files.readAllLines(ids) : List.of());
		int n = directory.toFile().list().length;

		Store store = Session.getInstance(p).getStore(protocol);
		store.connect("localhost", Integer.parseInt(arg[0]), arg[1],
		    arg[2]);
		POP3Folder inbox = (POP3Folder)store.getFolder("INBOX");
		inbox.open(Folder.READ_WRITE);
		for (Message m : inbox.getMessages()) {
			String id = inbox.getUID(m);
			if (!seen.contains(id)) {
				n++;
				Files.write(directory.resolve("" + n), text(m));
				Files.writeString(ids, id + "\n",
				    StandardOpenOption.CREATE,
				    StandardOpenOption.APPEND);
			}
			m.setFlag(Flags.Flag.DELETED, delete);
		}
		inbox.close(delete);
		store.close();
	}
}
