/* Stand-ins for illumos's <priv.h>, for tests/check_systems.c alone. */
#define PRIV_OFF	3
#define PRIV_ALLSETS	"all"
#define PRIV_PROC_FORK	"fork"
#define PRIV_PROC_EXEC	"exec"
#define PRIV_PROC_INFO	"info"
#define PRIV_NET_ACCESS	"net"
